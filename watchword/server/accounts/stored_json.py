"""JSON as it is stored and given back: compact, and refused at the door if it cannot be written."""

import orjson

from watchword.base.errors import BadRequest


def stored_json(value: object) -> bytes:
    """Encode a decoded JSON value. Raises BadRequest M_BAD_JSON for integers beyond 64 bits and lone surrogates."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise BadRequest("M_BAD_JSON", "The body has values that cannot be kept.") from error
