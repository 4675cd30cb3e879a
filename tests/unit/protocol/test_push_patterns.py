import pytest

from watchword.protocol.push_patterns import Pattern, contains_words


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("lunch", "lunch", True),
        ("LUNCH", "lunch", True),
        ("lunch", "lunches", False),
        ("", "", True),
        ("", "x", False),
        ("*", "", True),
        ("*", "a\nb", True),
        ("?", "x", True),
        ("?", "", False),
        ("l?nc*", "lunch plans", True),
        ("*plans", "lunch plans", True),
        ("*plan", "lunch plans", False),
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c--b", False),
        ("aa*aa", "aaa", False),
        ("a.c", "abc", False),
        ("a[b]", "ab", False),
        ("*?", "x", True),
        ("a**b", "ab", True),
    ],
)
def test_a_glob_fits_the_whole_text(glob: str, text: str, fits: bool) -> None:
    assert Pattern(glob, within=False).fits(text) == fits


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("cat", "the cat.", True),
        ("cat", "concatenate", False),
        ("cat", "cats", False),
        ("cat", "tomcat", False),
        ("cat", "cat", True),
        ("cat", "tomcat cat", True),
        ("cat", "écaté cat", True),
        ("cat", "écaté", True),
        ("cat", "my_cat", False),
        ("c?t", "a cut", True),
        ("ex*ple", "an exciting triple-whammy", True),
        ("ex*ple", "preexample", False),
        ("ex*ple", "an examples", False),
        ("ex*a*ple", "exa-apple", True),
        ("foo*", "foobar", True),
        ("*bar", "foobar", True),
        ("*bar", "foobars", False),
        ("", "", True),
        ("@room", "hi @room!", True),
    ],
)
def test_a_glob_fits_a_part_between_word_boundaries(glob: str, text: str, fits: bool) -> None:
    assert Pattern(glob, within=True).fits(text) == fits


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("glob", ["*a" * 200 + "b", "?a" * 200 + "b", "*a?" * 150 + "b", "a*" * 200 + "?b"])
def test_no_pattern_takes_long(glob: str, within: bool) -> None:
    assert not Pattern(glob, within=within).fits("b" + "a" * 65_000)


def test_only_pieces_with_question_marks_count_as_wildcards() -> None:
    assert Pattern("abc*a?c*d", within=True).wildcard_characters == 3
    assert Pattern("abc*", within=True).wildcard_characters == 0


def test_a_pattern_that_one_text_alone_fits_says_so() -> None:
    assert Pattern("!Room:hs", within=False).literal == "!room:hs"
    assert Pattern("x*", within=False).literal is None


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("hi alice!", "alice", True),
        ("malice", "alice", False),
        ("alices", "alice", False),
        ("malice alice", "alice", True),
        ("élise é", "é", True),
        ("a*b", "a*b", True),
        ("x", "", False),
        ("x", "y", False),
        ("_x", "x", False),
    ],
)
def test_words_are_found_between_word_boundaries(text: str, words: str, found: bool) -> None:
    assert contains_words(text, words) == found
