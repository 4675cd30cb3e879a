"""The `Authorization: X-Matrix` header, pure: read liberally, written strictly; and the bytes that are signed.

Spec: server-server-api#request-authentication
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from watchword.base import limits
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName

_SCHEME = "x-matrix"
_FIELDS_MAX = 16


@dataclass(frozen=True, slots=True)
class XMatrix:
    """The parameters of one header. destination: None if the sender named none (before v1.3 of the specification)."""

    origin: ServerName
    key_id: str
    signature: str
    destination: ServerName | None


# A parameter: token, "=" with optional white space, then a quoted string with backslash escapes or anything up to a comma.
_PARAMETER = re.compile(
    r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",]*?))[ \t]*(?:,|$)""",
    re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_x_matrix(header: str) -> XMatrix | None:
    """Read a header; None if it is not one, lacks a parameter, or names one twice.

    The scheme's and the parameters' names are compared without regard to case; values may be tokens (also with the colons
    that tokens may not hold) or quoted strings; unknown parameters are ignored.
    """
    if len(header) > limits.header_bytes_max:
        return None
    scheme, _, rest = header.strip(" \t").partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    found = _parameters(rest.strip(" \t"))
    if found is None:
        return None
    origin, key_id, signature = found.get("origin", ""), found.get("key", ""), found.get("sig", "")
    if not (origin and key_id and signature):
        return None
    destination = found.get("destination")
    return XMatrix(ServerName(origin), key_id, signature, None if destination is None else ServerName(destination))


def _parameters(text: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or len(found) >= _FIELDS_MAX:
            # An empty list element ("a=b,,c=d") is allowed by the grammar of lists.
            if text[at] == ",":
                at += 1
                continue
            return None
        name = match[1].lower()
        if name in found:
            return None
        found[name] = match[3] if match[2] is None else _ESCAPE.sub(r"\1", match[2])
        at = match.end()
    return found


def format_x_matrix(header: XMatrix) -> str:
    """Write a header: every value quoted, in the order that the specification shows."""
    parts: list[tuple[str, str]] = [("origin", header.origin)]
    if header.destination is not None:
        parts.append(("destination", header.destination))
    parts += [("key", header.key_id), ("sig", header.signature)]
    return "X-Matrix " + ",".join(f"{name}={_quoted(value)}" for name, value in parts)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What is signed of a request. uri: path and query as sent. destination: None if the header named none.

    content: the body as canonical JSON bytes; None for a request without one (then the key is absent, not `{}`).
    """

    method: str
    uri: str
    origin: ServerName
    destination: ServerName | None
    content: bytes | None

    def signed_bytes(self) -> bytes:
        """The canonical JSON of the signed object, around the bytes of the content: nothing is encoded twice."""
        named: Mapping[str, str] = {"method": self.method, "origin": self.origin, "uri": self.uri}
        if self.destination is not None:
            named = {"destination": self.destination, **named}
        rest = canonical_json.encode(named)
        # "content" sorts before every other key.
        return rest if self.content is None else b'{"content":' + self.content + b"," + rest[1:]
