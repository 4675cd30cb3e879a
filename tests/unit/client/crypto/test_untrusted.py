"""A peer's wrong type is nothing, never an exception."""

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.untrusted import decode_object, integer_at, object_at, text_at, texts_at

VALUE = {"a": {"text": "t", "number": 3, "flag": True, "list": ["x", 1, "y"], "object": {"k": 1}}}


def test_what_has_the_named_type_is_found() -> None:
    assert text_at(VALUE, "a", "text") == "t"
    assert integer_at(VALUE, "a", "number") == 3
    assert texts_at(VALUE, "a", "list") == ["x", "y"]
    assert object_at(VALUE, "a", "object") == {"k": 1}


@pytest.mark.parametrize("value", [None, 5, "text", [], {"a": None}, {"a": []}, VALUE])
def test_what_has_another_type_is_nothing(value: object) -> None:
    assert text_at(value, "a", "number") is None
    assert integer_at(value, "a", "flag") is None
    assert texts_at(value, "a", "text") == []
    assert object_at(value, "a", "text") == {}


@pytest.mark.parametrize("data", [b"", b"5", b"[]", b"{", b"\xff", b'{"a":"\\ud800"}', b"[" * 100_000])
def test_what_is_not_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_object(data)
