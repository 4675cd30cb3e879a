"""Forms as they are read."""

from collections.abc import AsyncIterator

import pytest

from watchword.base.errors import BadRequest
from watchword.edge.request import Request
from watchword.server.oauth.commands import OAuthRefusal
from watchword.server.oauth.forms import Form, read_form, read_parameters


def request(body: bytes) -> Request:
    async def pieces() -> AsyncIterator[bytes]:
        yield body[:3]
        yield body[3:]

    return Request("POST", "/", stream=pieces)


async def test_fields_are_read() -> None:
    form = await read_form(request(b"a=1&b=%C3%BC+x&c="))
    assert (form.get("a"), form.get("b"), form.get("c"), form.get("d")) == ("1", "ü x", "", "")


async def test_a_parameter_without_a_value_counts_as_absent_and_none_may_come_twice() -> None:
    form = Form({"a": [""], "b": ["1", "2"], "c": ["3"]})
    assert form.optional("a") is None
    assert form.optional("d") is None
    assert form.required("c") == "3"
    for name in ("a", "b"):
        with pytest.raises(OAuthRefusal):
            form.required(name)


async def test_what_is_no_form_is_refused() -> None:
    with pytest.raises(BadRequest):
        await read_form(request(b"\xff"))
    with pytest.raises(OAuthRefusal):
        await read_parameters(request(b"&".join([b"a=b"] * 100)))
