from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json, unpadded_base64

INTEGER_MAX = 2**53 - 1
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def json_of(*scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), TEXT, *scalars),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=20,
    )


def shuffled(value: Any) -> Any:
    """The same value with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


STRICT = json_of(st.integers(-INTEGER_MAX, INTEGER_MAX))
LENIENT = json_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))


@given(STRICT)
def test_canonical_json_goes_round(value: Any) -> None:
    encoded = canonical_json.encode(value)
    assert canonical_json.decode(encoded) == value
    assert canonical_json.decode(encoded, strict=False) == value
    assert canonical_json.encode(canonical_json.decode(encoded)) == encoded


@given(STRICT)
def test_a_value_has_one_canonical_form_whatever_the_order_and_the_writer(value: Any) -> None:
    encoded = canonical_json.encode(value)
    assert canonical_json.encode(shuffled(value)) == encoded
    assert canonical_json.encode_checked(shuffled(value)) == encoded
    assert canonical_json.encode(value, strict=False) == encoded
    assert canonical_json._encode_leniently(value) == encoded


@given(LENIENT)
def test_the_json_of_older_rooms_is_stable_after_one_round(value: Any) -> None:
    encoded = canonical_json.encode(value, strict=False)
    again = canonical_json.decode(encoded, strict=False)
    assert canonical_json.encode(again, strict=False) == canonical_json.encode(shuffled(again), strict=False)


@given(LENIENT | st.floats() | st.text() | st.dictionaries(st.text(), st.text()))
def test_the_strict_writer_refuses_or_writes_what_the_strict_reader_reads(value: Any) -> None:
    try:
        encoded = canonical_json.encode(value)
    except RemoteProtocolError:
        return
    assert canonical_json.decode(encoded) == value


@given(st.binary() | st.text() | LENIENT.map(lambda value: canonical_json.encode(value, strict=False)), st.booleans())
def test_the_reader_never_fails_but_by_refusing(data: bytes | str, strict: bool) -> None:
    try:
        canonical_json.decode(data, strict=strict)
    except RemoteProtocolError:
        return


@given(st.binary())
def test_base64_goes_round_in_both_alphabets(data: bytes) -> None:
    assert unpadded_base64.decode(unpadded_base64.encode(data)) == data
    assert unpadded_base64.decode_url(unpadded_base64.encode_url(data)) == data
    assert "=" not in unpadded_base64.encode(data) + unpadded_base64.encode_url(data)


@given(st.text())
def test_base64_never_fails_but_by_refusing(text: str) -> None:
    for decode in (unpadded_base64.decode, unpadded_base64.decode_url):
        try:
            decode(text)
        except RemoteProtocolError:
            continue
