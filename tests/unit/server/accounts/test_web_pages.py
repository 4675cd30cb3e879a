"""Plain pages: what they may load, and what forms bring back."""

import pytest

from watchword.base.errors import BadRequest
from watchword.server.accounts import web_pages


def test_a_page_may_load_nothing_but_its_own_style() -> None:
    reply = web_pages.page("A <title>", "<p>x</p>")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert b"A &lt;title&gt;" in reply.body


def test_a_script_is_named_by_its_fingerprint() -> None:
    reply = web_pages.page("x", "", script="done()")
    assert "script-src 'sha256-" in reply.headers["content-security-policy"]
    assert reply.body.endswith(b"<script>done()</script></body></html>")


def test_what_is_shown_and_kept_is_escaped() -> None:
    assert web_pages.alert("") == ""
    assert "<script>" not in web_pages.alert("<script>")
    assert '"><script>' not in web_pages.hidden({"a": '"><script>'})


def test_forms_are_read_and_wrong_ones_refused() -> None:
    assert web_pages.form_in(b"a=1&b=%C3%A9&c=") == {"a": "1", "b": "é", "c": ""}
    for body in (b"a=%FF", "&".join(f"{n}=x" for n in range(20)).encode(), b"\xff"):
        with pytest.raises(BadRequest):
            web_pages.form_in(body)


def test_a_redirect_tells_nobody_where_it_came_from() -> None:
    reply = web_pages.redirect("https://app.example/")
    assert (reply.status, reply.headers["location"], reply.headers["referrer-policy"]) == (
        303,
        "https://app.example/",
        "no-referrer",
    )
