import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.server.media.sandboxed.pages import clean, decoded, describe, prepare, shallow


def page(head: str, body: str = "") -> bytes:
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode()


def test_opengraph_goes_before_everything_else() -> None:
    said = describe(
        page(
            '<meta property="og:title" content="A &amp; B"><meta property="og:title" content="second"><title>plain</title>'
            '<meta property="og:image" content="/a.png"><meta name="twitter:description" content="card">'
            '<meta name="description" content="meta"><base href="/base/"><meta property="og:video" content="x">'
        ),
        "utf-8",
    )
    assert said == {"og": {"og:title": "A & B", "og:description": "card", "og:image": "/a.png"}, "base": "/base/", "oembed": ""}


def test_plain_html_is_enough() -> None:
    said = describe(page("<title> Two\n words </title><link rel='image_src' href='b.png'>", "<p>One.</p><p>Two.</p>"), "")
    assert said["og"] == {"og:title": "Two words", "og:description": "One. Two.", "og:image": "b.png"}
    assert describe(page("", "<h1>Heading</h1><article><p>Inside</p></article><p>outside</p>"), "")["og"] == {
        "og:title": "Heading",
        "og:description": "Inside",
    }
    assert describe(b"", "")["og"] == {}


def test_the_address_of_an_embedding_is_found() -> None:
    link = '<link rel="alternate" type="application/json+oembed" href="https://e.example/o?u=1">'
    assert describe(page(link), "")["oembed"] == "https://e.example/o?u=1"


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("Привет".encode("cp1251"), "windows-1251"),
        ("<meta charset=shift_jis>日本".encode("cp932"), ""),
        ('<meta http-equiv="Content-Type" content="text/html; charset=GB2312">中文'.encode("gb18030"), ""),
        ("<?xml version='1.0' encoding='euc-kr'?>한국".encode("cp949"), ""),
        ("\ufeffü".encode("utf-16-le"), ""),
        ("\ufeffü".encode(), "iso-8859-1"),
        ("ü".encode(), ""),
        ("ü".encode("latin-1"), ""),
        ("ü".encode("latin-1"), "ISO-8859-1"),
        ("<meta charset=utf-16>ü".encode(), ""),
        ("ü".encode(), "nonsense"),
    ],
)
def test_the_charset_is_found(data: bytes, charset: str) -> None:
    assert decoded(data, charset).rpartition(">")[2] in ("Привет", "日本", "中文", "한국", "ü")


def test_a_page_that_is_cut_off_in_a_character_is_still_utf8() -> None:
    assert decoded("日本".encode()[:-1], "") == "日"


def test_texts_are_one_bounded_line_without_control_characters() -> None:
    assert clean(" a\n\x00\u202eb\ud800 ", 10) == "a b"
    assert clean("x" * 20, 10) == "x" * 9 + "…"
    assert len(describe(page(f"<title>{'x' * 100_000}</title>"), "")["og"]["og:title"]) == 300


@pytest.mark.parametrize(
    "hostile",
    [
        "<div>",
        "<p>",
        "<meta property=og:a content=b>",
        "<!--",
        "<b><div></b>",
        "<div></x>",
        "<li><dd>",
        "<button><p>",
        "<table><td>",
    ],
)
def test_a_page_of_nothing_but_tags_is_read_in_time(hostile: str) -> None:
    before = time.process_time()
    said = describe(b"<title>Words</title>" + hostile.encode() * (500_000 // len(hostile)), "")
    assert said["og"]["og:title"] == "Words"
    assert time.process_time() - before < 3


def test_only_a_page_of_a_depth_that_nobody_writes_is_cut() -> None:
    written = "<ul>" + "<li>one<br><p>two" * 5_000 + "</ul>" + "<div><span>x</span></div>" * 5_000
    assert shallow(written) == written
    assert shallow("<div>" * 2_000) == "<div>" * 1_000


def test_everything_is_loaded_before_files_are_closed() -> None:
    prepare()


@given(st.binary(max_size=300), st.sampled_from(["", "utf-8", "shift_jis", "x"]))
def test_no_page_crashes_the_reader(data: bytes, charset: str) -> None:
    said = describe(b"<title>" + data, charset)
    assert all(isinstance(text, str) and text for text in said["og"].values())
