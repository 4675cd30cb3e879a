import pytest

from watchword.protocol.globs import Globs


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("*", "anything\nat all", True),
        ("", "", True),
        ("", "x", False),
        ("a", "a", True),
        ("a", "A", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("@spam*:*", "@spammer:hs", True),
        ("@spam*:*", "@ham:hs", False),
        ("*aba", "abababa", True),
        ("a*b*c", "acb", False),
        ("(a+)+$", "aaa", False),
        ("x" * 300, "x" * 300, False),
        ("*" * 300 + "x", "x", True),
    ],
)
def test_a_glob_fits_the_whole_text_or_not(glob: str, text: str, matches: bool) -> None:
    assert Globs([glob]).match(text) is matches


def test_any_of_the_globs_may_fit() -> None:
    globs = Globs(["one", "two*", "?hree"])
    assert [text for text in ("one", "twofold", "three", "four") if globs.match(text)] == ["one", "twofold", "three"]


def test_no_globs_fit_nothing() -> None:
    assert not Globs([])
    assert not Globs(["x" * 300])
    assert Globs(["*"])
    assert not Globs([]).match("")


def test_stars_without_end_are_matched_in_time() -> None:
    assert not Globs(["*a" * 120 + "b"]).match("a" * 255)
