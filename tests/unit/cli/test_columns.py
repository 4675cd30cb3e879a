"""Tables in a terminal."""

from watchword.cli.columns import moment, printable, table


def test_columns_are_aligned_and_the_last_one_is_cut() -> None:
    shown = table(("A", "B"), [("one", "x" * 100), ("three", "y")], width=40)
    assert shown.splitlines() == ["A      B", "one    " + "x" * 32 + "…", "three  y"]


def test_wide_characters_count_as_two_and_combining_ones_as_none() -> None:
    shown = table(("A", "B"), [("合唱", "x"), ("e\u0301", "y"), ("abcd", "合" * 20)], width=26)
    assert shown.splitlines() == ["A     B", "合唱  x", "e\u0301     y", "abcd  " + "合" * 9 + "…"]


def test_narrow_terminals_still_show_something() -> None:
    assert table(("A", "B"), [("x" * 30, "words and words")], width=10).splitlines()[1] == "x" * 30 + "  words and words"


def test_text_of_others_plays_no_tricks() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"


def test_times_are_readable() -> None:
    assert (moment(0), moment(None)) == ("1970-01-01 00:00", "-")
