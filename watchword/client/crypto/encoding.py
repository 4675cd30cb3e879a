"""Canonical JSON and unpadded base64 as the encryption parts need them: lenient in what they read.

Secrets and backups of other clients may carry padding; everything we write is unpadded.
Spec: appendices#unpadded-base64
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from watchword.base.errors import RemoteProtocolError


def canonical(value: Mapping[str, Any]) -> bytes:
    """Encode an object as canonical JSON. Raises RemoteProtocolError for what canonical JSON cannot carry."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except (TypeError, RecursionError) as error:
        raise RemoteProtocolError("an object has no canonical form") from error


def to_base64(data: bytes) -> str:
    """Encode as unpadded base64."""
    return base64.b64encode(data).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """Decode base64 with or without padding. Raises RemoteProtocolError."""
    stripped = text.rstrip("=")
    try:
        return base64.b64decode(stripped + "=" * (-len(stripped) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError("a value is not base64") from error


def to_url_base64(data: bytes) -> str:
    """Encode as URL-safe unpadded base64, the form of JSON Web Keys."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_url_base64(text: str) -> bytes:
    """Decode URL-safe base64. Raises RemoteProtocolError."""
    return from_base64(text.replace("-", "+").replace("_", "/"))
