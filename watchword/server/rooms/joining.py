"""Joins a room through another server: ask, make our event, hand it over, check what comes back, begin the room here.

The resident's answer is believed only as far as it proves itself: every event is signed by its sender's server, allowed by
its auth events, and the state allows our join. What fails is left out; if the rest does not carry our join, so does the join.

Where this server was in the room before, it may know of events that the resident has missed, its own leaves above all. Such
ends are kept beside the join, as a fork: to forget them would undo them.

Spec: server-server-api#joining-rooms
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from watchword.base import limits
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.protocol import event_types
from watchword.protocol.auth_event_selection import auth_state_keys
from watchword.protocol.auth_rules import check_auth
from watchword.protocol.auth_state import CREATE_KEY
from watchword.protocol.event_building import build_event
from watchword.protocol.events import Pdu, StateKey, StateMap, parse_pdu
from watchword.protocol.ids import EventId, ServerName, UserId, domain_of
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.server.changes import OutOfBandMembership
from watchword.server.rooms import member_tables, records, tables
from watchword.server.rooms.append import Fork, NewPdu
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.fetching import Fetching
from watchword.server.rooms.forks import UnresolvableState
from watchword.server.rooms.incoming import IncomingChecks, RoomKind, Verified, encoded
from watchword.server.rooms.intake import Terms
from watchword.server.rooms.out_of_band import OutOfBand
from watchword.server.rooms.own_auth import OwnAuth, causes_first, create_id_of, needed_for
from watchword.server.rooms.ports import RemoteServers, SendJoinAnswer, Template
from watchword.server.rooms.receiver import Receiver
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.templates import draft_at, read_template, with_signatures_of
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Tx

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proven:
    """What stands of a resident's answer. rows: every event to keep, each after its auth events, with flags."""

    state: Mapping[StateKey, EventId]
    pdus: Mapping[EventId, Pdu]
    rows: list[tuple[Pdu, bytes, int]]


def prove(join: Pdu, state: Mapping[EventId, Verified], chain: Mapping[EventId, Verified], version: RoomVersion) -> Proven:
    """Judge a resident's answer to our join. Raises RemoteProtocolError if it does not carry the join."""
    given = {**chain, **state}
    auth = OwnAuth(version)
    rows: list[tuple[Pdu, bytes, int]] = []
    for pdu in causes_first((event.pdu for event in given.values()), lambda pdu: needed_for(pdu, version)):
        if not auth.lacks(pdu):
            flags = 0 if auth.take(pdu) is None else records.REJECTED | records.UNAUTHORISED
            rows.append((pdu, given[pdu.event_id].json, flags))
    found: dict[StateKey, EventId] = {}
    for event_id in state:
        pdu = given[event_id].pdu
        if event_id not in auth.pdus or event_id in auth.rejected or pdu.state_address is None:
            continue
        if pdu.state_address in found:
            raise RemoteProtocolError("The state names one address twice.")
        found[pdu.state_address] = event_id
    _check_create(found, auth, join, version)
    if auth.lacks(join):
        raise RemoteProtocolError("Auth events of the join were not given.")
    keys = auth_state_keys(join.type, join.state_key, join.sender, join.content, version)
    relevant = {key: auth.pdus[found[key]] for key in (*keys, CREATE_KEY) if key in found}
    reason = auth.judge(join) or check_auth(join, relevant, version)
    if reason is not None:
        raise RemoteProtocolError(f"The state does not allow the join: {reason}")
    return Proven(found, auth.pdus, rows)


def _check_create(found: Mapping[StateKey, EventId], auth: OwnAuth, join: Pdu, version: RoomVersion) -> None:
    create_id = found.get(CREATE_KEY)
    if create_id is None:
        raise RemoteProtocolError("The state has no create event.")
    if version.room_id_is_create_hash and create_id != create_id_of(join.room_id):
        raise RemoteProtocolError("The create event is of another room.")
    if auth.pdus[create_id].content.get("room_version", "1") != version.identifier:
        raise RemoteProtocolError("The room is of another version than was said.")


def version_of(template: Template) -> RoomVersion:
    """The version that a template names. Raises RemoteProtocolError if we do not know it."""
    version = ROOM_VERSIONS.get(template.room_version)
    if version is None:
        raise RemoteProtocolError("The other server uses a room version that it was not offered.")
    return version


@dataclass(frozen=True)
class Joining:
    """Joins rooms through other servers."""

    writer: RoomWriter
    servers: RemoteServers
    checks: IncomingChecks
    fetching: Fetching
    receiver: Receiver
    out_of_band: OutOfBand

    def make(self, template: Template, command: ChangeMembership) -> tuple[Verified, RoomVersion]:
        """Our signed event at a template's place. Raises RemoteProtocolError."""
        version = version_of(template)
        place = read_template(template.event, command, version)
        identity = self.writer.identity
        event_id = None
        if version.event_ids_in_events:
            event_id = EventId(f"${self.writer.entropy.token(18)}:{identity.server_name}")
        draft = draft_at(place, command, event_id, self.writer.clock.now_ms())
        pdu, json = build_event(draft, version, identity.server_name, identity.signing_key)
        # Its room ID and its references came from elsewhere: what we would not take, we do not send.
        parse_pdu(pdu.json, version)
        return Verified(pdu, json), version

    async def join_through(self, server: ServerName, command: ChangeMembership) -> None:
        """Join; returns once the room is durable here. Raises PeerError, RemoteProtocolError, CannotFetch."""
        template = await self.servers.make_join(server, command.room_id, command.target, list(ROOM_VERSIONS))
        made, version = self.make(template, command)
        known = await self.writer.registry.find(command.room_id)
        if known is not None and known.state and known.version is not version:
            raise RemoteProtocolError("The room is known here with another version.")
        answer = await self.servers.send_join(server, command.room_id, made.pdu.event_id, made.pdu.json)
        join = await self._signed_by_authoriser(server, made, answer, version)
        if known is not None and known.is_alive:
            taken = await self.receiver.take(server, known, join, Terms(is_sent_out=False))
            await taken.durable()
            if taken.reason is not None:
                raise RemoteProtocolError(f"The room does not allow the join: {taken.reason}")
            return
        if answer.members_omitted:
            raise RemoteProtocolError("Members were left out, which was not asked for.")
        kind = RoomKind(command.room_id, version)
        state = await self.checks.take(answer.state, kind)
        chain = await self.checks.take(answer.auth_chain, kind, state)
        proven = prove(join.pdu, state, chain, version)
        room = await self.out_of_band.ensure_room(command.room_id, version)
        await self.fetching.store_outliers(room.room_nid, proven.rows)
        await self._begin(join, proven, await self._unheard_ends(server, room, join.pdu, proven))

    async def _signed_by_authoriser(
        self, server: ServerName, made: Verified, answer: SendJoinAnswer, version: RoomVersion
    ) -> Verified:
        """Our join, with the signature of the server that vouches for it, if one does."""
        authoriser = made.pdu.content.get("join_authorised_via_users_server")
        if not isinstance(authoriser, str):
            return made
        if answer.event is None:
            raise PeerError(server, "it did not give back the join that it should have signed")
        pdu = parse_pdu(with_signatures_of(made.pdu.json, answer.event, domain_of(authoriser)), version)
        (verified,) = await self.checks.verify([pdu], version)
        if not isinstance(verified, Verified):
            raise PeerError(server, "it did not sign the join that it vouches for")
        return Verified(pdu, encoded(pdu, version))

    async def _unheard_ends(self, server: ServerName, room: Room, join: Pdu, proven: Proven) -> set[EventId]:
        """Which of the room's ends here the resident does not have. What is not in its answer it is asked for, one by one."""
        unheard = set()
        for event_id in list(room.extremities)[: limits.prev_events_max]:
            if event_id in proven.pdus or event_id in join.prev_events:
                continue
            try:
                await self.servers.event(server, event_id)
            except PeerError:
                # Even if it only does not answer: an end too many is joined to the others by the next event.
                unheard.add(event_id)
        return unheard

    async def _begin(self, join: Verified, proven: Proven, unheard: Collection[EventId]) -> None:
        """Make the proven state the room's, and our join its end, beside those ends that the resident does not have.

        All others that were the room's ends before are behind a gap.
        """
        room_id = join.pdu.room_id
        async with self.writer.registry.locked(room_id) as room:
            assert room is not None, room_id
            async with self.writer.appending(room) as (tx, durable):
                cited = await tables.known_events(tx, join.pdu.prev_events)
                missing = [each for each in join.pdu.prev_events if cited.get(each, (0, records.OUTLIER))[1] & records.OUTLIER]
                # Resolution looks events up: the join may be in conflict.
                await self.writer.appender.append_outliers(tx, room.room_nid, [(join.pdu, join.json, 0)])
                now, fork = await self._beside(tx, room, join.pdu, proven.state, unheard)
                found = await self.writer.events.many(tx, now.values() - proven.pdus.keys())
                pdus = {**proven.pdus, **{event_id: event.pdu for event_id, event in found.items()}}
                await self.writer.appender.adopt_state(tx, room, now, pdus)
                await self._end_stale_invites(tx, room, join.pdu)
                # The resident server tells the others.
                new = NewPdu(join.pdu, join.json, 0, fork, missing, is_known=True, is_sent_out=False)
                await self.writer.appender.append(tx, room, new)
        await durable()

    async def _beside(
        self, tx: Tx, room: Room, join: Pdu, before: StateMap, unheard: Collection[EventId]
    ) -> tuple[StateMap, Fork]:
        """The room's state just before our join, and what the join does to it, if these ends of ours stay."""
        key = (event_types.MEMBER, join.sender)
        after = {**before, key: join.event_id}
        ends = {event_id: depth for event_id, depth in room.extremities.items() if event_id in unheard}
        if ends:
            # The room's own map goes on changing: a fork keeps a copy.
            states = {end: dict(room.state) if len(room.extremities) == 1 else room.forks[end] for end in ends}
            forks = self.receiver.intake.forks
            try:
                now = dict(await forks.resolve(tx, room, [before, *states.values()]))
                resolved = await forks.resolve(tx, room, [after, *states.values()])
            except UnresolvableState as error:
                logger.warning("Ends of a room were given up.", extra={"room_id": room.room_id, "cause": str(error)})
            else:
                # Else what the resident has missed would forbid our join: it has let us in, and hears of the rest in time.
                if resolved.get(key) == join.event_id:
                    extremities = {**ends, join.event_id: join.depth}
                    return now, Fork(before, resolved, extremities, {**states, join.event_id: after})
        return before, Fork(before, after, {join.event_id: join.depth})

    async def _end_stale_invites(self, tx: Tx, room: Room, join: Pdu) -> None:
        """Local users whose invite from outside is not in the state are not invited."""
        for user_id, membership in list(room.members.membership.items()):
            if (event_types.MEMBER, user_id) in room.state or user_id == join.sender or membership not in ("invite", "knock"):
                continue
            await self._end(tx, room, user_id, join)

    async def _end(self, tx: Tx, room: Room, user_id: UserId, join: Pdu) -> None:
        change = OutOfBandMembership(room.room_id, user_id, "leave", join.event_id)
        position = await self.out_of_band.log.append(tx, change)
        row = MembershipRow(room.room_id, user_id, "leave", join.event_id, position, user_id, False, None)
        user_nid = await self.writer.names.number(tx, user_id)
        await member_tables.save_membership(tx, room.room_nid, user_nid, row, is_local=True)
        room.members.set(user_id, "leave")
        tx.after_commit(partial(self.out_of_band.memberships.forget, user_id))
