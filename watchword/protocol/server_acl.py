"""Server access control lists: which servers may take part in a room.

Globs come from strangers, so they are matched without backtracking: each part between two stars is found at its first
place and never tried again, which is enough for globs. Deliberately absent: where ACLs apply.

Spec: client-server-api#server-access-control-lists-acls-for-rooms
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.protocol.ids import host_of, is_ip_literal

_Matches = Callable[[str], object]


class ServerAcl:
    """The content of m.room.server_acl, compiled once per change of the event."""

    __slots__ = ("_allowed", "_denied", "_ip_literals_allowed")

    def __init__(self, allow: Sequence[str], deny: Sequence[str], *, ip_literals_allowed: bool) -> None:
        self._allowed = _compile(allow)
        self._denied = _compile(deny)
        self._ip_literals_allowed = ip_literals_allowed

    @classmethod
    def from_content(cls, content: Mapping[str, Any] | None) -> "ServerAcl":
        """Read the event's content, None for no such event. What has the wrong type counts as absent.

        "If there is no m.room.server_acl event in the room state, allow." An event without `allow` allows nobody.
        """
        if content is None:
            return cls(("*",), (), ip_literals_allowed=True)
        return cls(
            _strings(content.get("allow")),
            _strings(content.get("deny")),
            ip_literals_allowed=content.get("allow_ip_literals") is not False,
        )

    def allows(self, server_name: str) -> bool:
        """Whether the server may take part; its port is ignored, and so is case."""
        if not self._ip_literals_allowed and is_ip_literal(server_name):
            return False
        host = host_of(server_name).lower()
        return not _any(self._denied, host) and _any(self._allowed, host)


def _strings(value: object) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else ()


def _compile(globs: Sequence[str]) -> tuple[frozenset[str], Sequence[_Matches]]:
    """Names without a wildcard as a set, as most are; the others as compiled patterns; what no name can match is dropped."""
    lowered = [glob.lower() for glob in globs if len(glob) - glob.count("*") <= limits.identifier_bytes_max]
    names = frozenset(glob for glob in lowered if "*" not in glob and "?" not in glob)
    return names, [_pattern(glob) for glob in lowered if "*" in glob or "?" in glob]


def _any(compiled: tuple[frozenset[str], Sequence[_Matches]], host: str) -> bool:
    names, patterns = compiled
    return host in names or any(matches(host) for matches in patterns)


def _pattern(glob: str) -> _Matches:
    """`*` is any number of characters, `?` is one."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", glob).split("*"))
    if not others:
        return re.compile(first, re.DOTALL).fullmatch
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL).fullmatch
