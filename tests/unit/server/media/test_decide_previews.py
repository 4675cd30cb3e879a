import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.base.errors import Refused
from watchword.server.media.commands import PreviewSettings
from watchword.server.media.decide_previews import (
    address,
    bare_type,
    charset_of,
    embedded,
    language_of,
    may_visit,
    open_graph,
    page_of,
    resolved,
)

PAGE = "https://a.example/dir/page"


@pytest.mark.parametrize(
    ("text", "page"),
    [
        (" HTTPS://A.example?x=Y#part ", "https://a.example/?x=Y"),
        ("http://a.example:8080/p", "http://a.example:8080/p"),
        ("http://日本.example/", "http://日本.example/"),
        ("mailto:a@b", None),
        ("//a.example/", None),
        ("https://", None),
        ("https://u@a.example/", None),
        ("https://a.example:0/", None),
        ("https://a.example:99999/", None),
        ("https://[/", None),
        ("https://a.example/\\evil", None),
        ("https://a.example/a b", None),
        ("", None),
        ("https://a.example/" + "x" * 5_000, None),
    ],
)
def test_a_page_is_an_address_of_the_web(text: str, page: str | None) -> None:
    found = page_of(text)
    assert (None if isinstance(found, Refused) else found) == page


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("/a.png", "https://a.example/a.png"),
        ("a.png", "https://a.example/dir/a.png"),
        ("//b.example/a", "https://b.example/a"),
        ("http://a.example/a", None),
        ("data:image/png,x", None),
        ("https://[", None),
        ("x" * 5_000, None),
    ],
)
def test_an_address_in_a_page_is_resolved_and_does_not_become_public(reference: str, place: str | None) -> None:
    assert resolved(PAGE, reference) == place


@pytest.mark.parametrize(
    ("allow", "deny", "host", "answer"),
    [
        (None, [], "a.example", True),
        (None, ["a.*"], "a.example", False),
        (["*.example"], [], "a.example.", True),
        (["?.example"], [], "ab.example", False),
        (["b.example"], [], "a.example", False),
        (["*"], ["A.EXAMPLE"], "a.example", False),
        (["a.[example"], [], "a.example", False),
    ],
)
def test_the_operator_says_which_hosts(allow: list[str] | None, deny: list[str], host: str, answer: bool) -> None:
    assert may_visit(f"https://{host}/", PreviewSettings(True, allow, deny)) is answer


def test_small_parts_of_headers() -> None:
    assert [language_of(given, "en") for given in (None, "", "de, *;q=0.5", "x\ny", "x" * 200)] == [
        "en",
        "en",
        "de, *;q=0.5",
        "en",
        "en",
    ]
    assert [charset_of(given) for given in ('text/html; Charset="utf-8"', "text/html")] == ["utf-8", ""]
    assert bare_type(" Text/HTML ; charset=x") == "text/html"


def test_only_known_words_of_bounded_length_are_passed_on() -> None:
    said = {"og:title": " x" * 2_000, "og:image": "y", "evil": "z", "og:type": 5, "og:description": "\ud800", "og:url": "/c"}
    assert open_graph(said, PAGE) == {"og:title": ("x " * 500).strip(), "og:url": "https://a.example/c"}
    assert open_graph({"og:url": "javascript:x"}, PAGE) == {}
    assert open_graph([], PAGE) == {}


def test_an_embedding_is_opengraph_too() -> None:
    assert embedded({"type": "photo", "url": "u", "title": "t", "author_name": 1}) == {"og:title": "t", "og:image": "u"}
    assert embedded({"type": "video", "url": "u"}) == {}
    assert embedded(None) == {}


def test_an_address_is_a_text() -> None:
    assert [address(said, "a") for said in ({"a": "x"}, {"a": 1}, {}, None)] == ["x", "", "", ""]


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_crashes(base: str, reference: str) -> None:
    page_of(base)
    found = resolved(PAGE, reference)
    assert found is None or found.startswith("https://")
    resolved(base, reference)
