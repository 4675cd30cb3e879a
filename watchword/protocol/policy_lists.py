"""Moderation policy lists: whom, which servers and which rooms a list's rules ban, compiled once and then looked up.

A rule names what it bans by a glob, or by a hash, so that a list need not spread what it warns of.
Deliberately absent: which lists count, and what a ban means here.

Spec: client-server-api#moderation-policy-lists
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base.errors import ProtocolError
from watchword.protocol import unpadded_base64
from watchword.protocol.globs import Globs
from watchword.protocol.ids import domain_of, host_of

USER, ROOM, SERVER = "user", "room", "server"
RULE_TYPES: Mapping[str, str] = {
    f"{prefix}.{kind}": kind
    for kind in (USER, ROOM, SERVER)
    # COMPAT(lists of 2019 and 2020, until 2028): the names before they were specified.
    for prefix in ("m.policy.rule", "m.room.rule", "org.matrix.mjolnir.rule")
}
"""Type of event → what its rule is about."""

_BANS = ("m.ban", "org.matrix.mjolnir.ban", "m.takedown", "org.matrix.msc4204.takedown")
_HASHES = ("hashes", "org.matrix.msc4205.hashes")
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that bans. entity: a glob; None if digest, the SHA-256 of the whole identifier, stands for it."""

    kind: str
    entity: str | None
    digest: bytes | None = None


def rule_of(event_type: str, content: Mapping[str, Any]) -> Rule | None:
    """The ban that a state event sets; None if it sets none: it was taken back, recommends something else, is malformed."""
    kind = RULE_TYPES.get(event_type)
    if kind is None or content.get("recommendation") not in _BANS:
        return None
    entity = content.get("entity")
    if isinstance(entity, str) and entity:
        return Rule(kind, entity)
    for name in _HASHES:
        hashes = content.get(name)
        digest = _decoded(hashes.get("sha256")) if isinstance(hashes, Mapping) else None
        if digest is not None:
            return Rule(kind, None, digest)
    return None


def _decoded(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        digest = unpadded_base64.decode(text)
    except ProtocolError:
        return None
    return digest if len(digest) == _DIGEST_BYTES else None


class _Banned:
    """The rules of one kind."""

    __slots__ = ("_digests", "_globs")

    def __init__(self, rules: Collection[Rule], *, lower: bool = False) -> None:
        entities = [rule.entity for rule in rules if rule.entity is not None]
        self._globs = Globs(entity.lower() if lower else entity for entity in entities)
        self._digests = frozenset(rule.digest for rule in rules if rule.digest is not None)

    def has(self, identifier: str) -> bool:
        if self._globs and self._globs.match(identifier):
            return True
        return bool(self._digests) and hashlib.sha256(identifier.encode()).digest() in self._digests

    def __bool__(self) -> bool:
        return bool(self._globs or self._digests)


class PolicyRules:
    """The rules of all lists that count, ready to be asked."""

    __slots__ = ("_rooms", "_servers", "_users")

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        by_kind: dict[str, list[Rule]] = {USER: [], ROOM: [], SERVER: []}
        for rule in rules:
            by_kind[rule.kind].append(rule)
        self._users = _Banned(by_kind[USER])
        self._rooms = _Banned(by_kind[ROOM])
        self._servers = _Banned(by_kind[SERVER], lower=True)

    def bans_server(self, server_name: str) -> bool:
        """Whether a server is banned, with or without its port."""
        if not self._servers:
            return False
        name = server_name.lower()
        return self._servers.has(name) or self._servers.has(host_of(name))

    def bans_user(self, user_id: str) -> bool:
        """Whether a user is banned, or his server."""
        return (bool(self._users) and self._users.has(user_id)) or self.bans_server(domain_of(user_id))

    def bans_room(self, room_id: str) -> bool:
        """Whether a room is banned, by its ID or by an alias of it that is asked about."""
        return bool(self._rooms) and self._rooms.has(room_id)
