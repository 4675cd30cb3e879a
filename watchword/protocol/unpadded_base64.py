"""Base64 without padding, in both alphabets.

What we write has no padding; what we read may have it, and may have bits at its end that no byte accounts for, for older
peers send both and all others read them. Any other character is refused. So a value may have several spellings: compare
the bytes, never the text.

Spec: appendices#unpadded-base64
"""

import binascii
from base64 import urlsafe_b64encode

from watchword.base.errors import RemoteProtocolError

_URL_TO_STANDARD = str.maketrans("-_+/", "+/!!")


def encode(data: bytes) -> str:
    """Standard alphabet (`+` and `/`), no padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode("ascii")


def encode_url(data: bytes) -> str:
    """URL-safe alphabet (`-` and `_`), no padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Read the standard alphabet, padded or not. Raises RemoteProtocolError."""
    bare = text.rstrip("=")
    try:
        return binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except ValueError as error:  # binascii.Error, and text that is not ASCII
        raise RemoteProtocolError("This is not valid base64.") from error


def decode_url(text: str) -> bytes:
    """Read the URL-safe alphabet, padded or not. Raises RemoteProtocolError."""
    return decode(text.translate(_URL_TO_STANDARD))
