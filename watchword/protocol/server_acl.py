"""Server access control lists: which servers may take part in a room. Deliberately absent: where ACLs apply.

Spec: client-server-api#server-access-control-lists-acls-for-rooms
"""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.protocol.globs import Globs
from watchword.protocol.ids import host_of, is_ip_literal


class ServerAcl:
    """The content of m.room.server_acl, compiled once per change of the event."""

    __slots__ = ("_allowed", "_denied", "_ip_literals_allowed")

    def __init__(self, allow: Sequence[str], deny: Sequence[str], *, ip_literals_allowed: bool) -> None:
        self._allowed = Globs(glob.lower() for glob in allow)
        self._denied = Globs(glob.lower() for glob in deny)
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
        return not self._denied.match(host) and self._allowed.match(host)


def _strings(value: object) -> Sequence[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else ()
