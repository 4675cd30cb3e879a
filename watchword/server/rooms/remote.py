"""Memberships that need another server's word. Fits `ports.RemoteRooms`.

No lock of a room is held while another server is asked. Every answer is checked against what we sent; nothing that a peer
proposes is signed as it is.

Spec: server-server-api#joining-rooms, server-server-api#inviting-to-a-room, server-server-api#knocking-upon-a-room,
server-server-api#leaving-rooms-rejecting-invites
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import assert_never

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError, Refusal, RemoteProtocolError
from watchword.protocol import event_types
from watchword.protocol.auth_event_selection import third_party_token
from watchword.protocol.events import Pdu, event_id_of, parse_pdu, reference_hash
from watchword.protocol.ids import EventId, RoomAlias, RoomId, ServerName, domain_of
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import signatures_of
from watchword.protocol.stripped_state import strip_all, stripped_state_keys
from watchword.server.rooms import decide
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.decide import Accepted, AlreadySo, Refused
from watchword.server.rooms.fetching import CannotFetch
from watchword.server.rooms.incoming import Verified, encoded
from watchword.server.rooms.intake import Intake, Terms
from watchword.server.rooms.invite_permission import BLOCKED
from watchword.server.rooms.joining import Joining
from watchword.server.rooms.out_of_band import OutOfBand, Told
from watchword.server.rooms.ports import RemoteServers
from watchword.server.rooms.restricted import needs_authoriser
from watchword.server.rooms.room import Room
from watchword.server.rooms.templates import with_signatures_of
from watchword.server.rooms.writer import NOT_IN_ROOM, RoomWriter, refusal_of

logger = logging.getLogger(__name__)

_BAD_GATEWAY = 502
_PASSED_ON = ("M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN")


@dataclass
class _Turns:
    """One join of a room at a time: whoever comes second finds the room here."""

    locks: dict[RoomId, asyncio.Lock] = field(default_factory=dict)
    waiting: dict[RoomId, int] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, room_id: RoomId) -> AsyncIterator[None]:
        lock = self.locks.setdefault(room_id, asyncio.Lock())
        self.waiting[room_id] = self.waiting.get(room_id, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self.waiting[room_id] -= 1
            if not self.waiting[room_id]:
                del self.waiting[room_id], self.locks[room_id]


@dataclass(frozen=True)
class RemoteMemberships:
    """Joins, invites, leaves and knocks with the help of other servers."""

    writer: RoomWriter
    servers: RemoteServers
    intake: Intake
    joining: Joining
    out_of_band: OutOfBand
    _turns: _Turns = field(default_factory=_Turns)

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        """What another server's alias stands for; None if it names nothing."""
        server = domain_of(alias)
        try:
            room_id, servers = await self.servers.query_directory(server, alias)
        except PeerError as error:
            if error.status is not None:
                return None
            raise Refusal("M_UNKNOWN", "The alias's server cannot be reached.", status=_BAD_GATEWAY) from error
        return room_id, [*dict.fromkeys((*servers[: limits.join_servers_max * 4], server))]

    # Joining

    async def join(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        """Join through one of these servers. Raises Refusal."""
        async with self._turns.of(command.room_id):
            room = await self.writer.registry.find(command.room_id)
            if room is not None and room.is_alive and not needs_authoriser(room, command.target):
                await self.writer.change_membership(command)
                return
            failures: list[Exception] = []
            for server in self._others(via)[: limits.join_servers_max]:
                try:
                    await self.joining.join_through(server, command)
                except (PeerError, RemoteProtocolError, CannotFetch) as error:
                    extra = {"room_id": command.room_id, "server_name": server, "cause": str(error)}
                    logger.info("A join through another server failed.", extra=extra)
                    failures.append(error)
                else:
                    return
            raise refusal_for(failures)

    def _others(self, via: Sequence[ServerName]) -> list[ServerName]:
        return [server for server in dict.fromkeys(via) if server != self.writer.identity.server_name]

    # Inviting

    async def invite(self, command: ChangeMembership) -> EventId:
        """Invite a user of another server into a room that we are in: his server signs first. Raises Refusal."""
        made, room = await self._make_invite(command)
        if isinstance(made, AlreadySo):
            return made.event_id
        server, version = domain_of(command.target), room.version
        state = await self._shown_state(room, made.pdu)
        try:
            answer = await self.servers.invite(
                server, command.room_id, made.pdu.event_id, made.pdu.json, version.identifier, state
            )
        except PeerError as error:
            raise _refused_invite(error) from error
        if not _is_same(made.pdu, answer, room) or not signatures_of(answer, server):
            raise Refusal("M_UNKNOWN", "The other server did not sign the invite.", status=_BAD_GATEWAY)
        pdu = parse_pdu(with_signatures_of(made.pdu.json, answer, server), version)
        return await self._place(command.room_id, Verified(pdu, encoded(pdu, version)))

    async def invite_here(self, command: ChangeMembership) -> EventId:
        """Invite a local user in the name of whoever promised it to his address, who may be of another server. Raises Refusal.

        No signature of the inviter's server is needed: the identity server's stands for it.
        """
        made, _ = await self._make_invite(command)
        if isinstance(made, AlreadySo):
            return made.event_id
        return await self._place(command.room_id, made)

    async def _place(self, room_id: RoomId, invite: Verified) -> EventId:
        taken = await self.intake.take(room_id, invite, Terms(is_sent_out=True))
        if taken.reason is not None or taken.is_waiting:
            raise Forbidden("The room has changed meanwhile and does not allow the invite any more.")
        await taken.durable()
        return invite.pdu.event_id

    async def _make_invite(self, command: ChangeMembership) -> tuple[Verified | AlreadySo, Room]:
        made, room = await self._build_invite(command)
        guard = room.policy_server
        if isinstance(made, AlreadySo) or guard is None:
            return made, room
        signed = await self.writer.policy.signed(guard, made.pdu, room.version)
        return Verified(signed, encoded(signed, room.version)), room

    async def _build_invite(self, command: ChangeMembership) -> tuple[Verified | AlreadySo, Room]:
        async with self.writer.registry.locked(command.room_id) as room:
            if room is None or not room.is_alive:
                raise Forbidden(NOT_IN_ROOM)
            token = third_party_token(command.content)
            if token is not None:
                await self.writer.registry.load_state(room, [(event_types.THIRD_PARTY_INVITE, token)])
            decided = decide.already_so(room, command) or decide.change_membership(room, command, self.writer.clock.now_ms())
            match decided:
                case Refused():
                    raise refusal_of(decided)
                case AlreadySo():
                    return decided, room
                case Accepted():
                    new = await self.writer.build(room, decided.draft)
                    return Verified(new.pdu, new.json), room
                case _:
                    assert_never(decided)

    async def _shown_state(self, room: Room, invite: Pdu) -> list[Mapping[str, object]]:
        """What the invited user is shown of the room: whole events, so that his server can check them."""
        keys = stripped_state_keys(invite.sender)
        ids = [room.state[key] for key in keys if key in room.state]
        async with self.writer.database.read() as tx:
            found = await self.writer.events.many(tx, ids)
        return [found[event_id].pdu.json for event_id in ids if event_id in found]

    # Leaving and knocking

    async def leave(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        """Reject an invite or retract a knock; even if no server can be reached. Returns once it is durable."""
        room = await self.writer.registry.find(command.room_id)
        version = ROOM_VERSIONS["1"] if room is None else room.version
        event_id = EventId(f"${self.writer.entropy.token(32)}")
        for server in self._others(via)[: limits.join_servers_max]:
            try:
                template = await self.servers.make_leave(server, command.room_id, command.target)
                made, version = self.joining.make(template, command)
                await self.servers.send_leave(server, command.room_id, made.pdu.event_id, made.pdu.json)
            except (PeerError, RemoteProtocolError) as error:
                extra = {"room_id": command.room_id, "server_name": server, "cause": str(error)}
                logger.info("A leave through another server failed.", extra=extra)
            else:
                event_id = made.pdu.event_id
                break
        told = Told(command.target, "leave", event_id, command.sender)
        await self.out_of_band.record(command.room_id, version, told)

    async def knock(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        """Knock through one of these servers. Raises Refusal."""
        versions = [name for name, version in ROOM_VERSIONS.items() if version.knocking]
        failures: list[Exception] = []
        for server in self._others(via)[: limits.join_servers_max]:
            try:
                template = await self.servers.make_knock(server, command.room_id, command.target, versions)
                made, version = self.joining.make(template, command)
                shown = await self.servers.send_knock(server, command.room_id, made.pdu.event_id, made.pdu.json)
            except (PeerError, RemoteProtocolError) as error:
                failures.append(error)
                continue
            stripped = strip_all([*shown[: limits.invite_state_events_max], made.pdu.json])
            told = Told(command.target, "knock", made.pdu.event_id, command.sender, stripped)
            await self.out_of_band.record(command.room_id, version, told)
            return
        raise refusal_for(failures)


def _is_same(ours: Pdu, answer: Mapping[str, object], room: Room) -> bool:
    try:
        if event_id_of(answer, room.version) != ours.event_id:
            return False
        return reference_hash(answer, room.version) == reference_hash(ours.json, room.version)
    except RemoteProtocolError:
        return False


def _refused_invite(error: PeerError) -> Refusal:
    if error.errcode == "M_INCOMPATIBLE_ROOM_VERSION":
        return BadRequest("M_INCOMPATIBLE_ROOM_VERSION", "Their server does not support the version of this room.")
    if error.errcode is not None and error.errcode.endswith(BLOCKED):
        return Forbidden("They take no invites from you.", BLOCKED)
    if error.status == 404:
        return NotFound("There is no such user on that server.")
    if error.status is not None and error.status < 500:
        return Forbidden("Their server does not accept the invite.")
    return Refusal("M_UNKNOWN", "Their server cannot be reached.", status=_BAD_GATEWAY)


def refusal_for(failures: Sequence[Exception]) -> Refusal:
    """What a client is told after every server failed: the most telling answer of all."""
    peers = [error for error in failures if isinstance(error, PeerError)]
    for error in peers:
        if error.errcode == "M_INCOMPATIBLE_ROOM_VERSION":
            version = error.body.get("room_version")
            extra = {"room_version": version[: limits.room_version_characters_max]} if isinstance(version, str) else {}
            text = "This server does not support the version of the room."
            return BadRequest("M_INCOMPATIBLE_ROOM_VERSION", text, extra=extra)
    for error in peers:
        if error.status == 403:
            return Forbidden("The room does not let you in.")
    for error in peers:
        if error.errcode in _PASSED_ON:
            return Forbidden("No server that was asked could let you in.")
    if failures and all(isinstance(error, PeerError) and error.status == 404 for error in failures):
        return NotFound("There is no such room.")
    if not failures:
        return NotFound("No server that is in the room is known.")
    return Refusal("M_UNKNOWN", "No server that is in the room could help.", status=_BAD_GATEWAY)
