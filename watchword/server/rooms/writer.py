"""The one writer of rooms: under the room's lock, read the snapshot, let `decide` decide, append to the log, advance.

Nothing else writes to a room. A caller is answered once its event is durable; the next event of the same room need not
wait for that: it builds on the room in memory, and both share a commit. If the commit fails, both fail, and the room is
read from the database again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import assert_never

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, Forbidden, Refusal, RemoteProtocolError, StorageError, TooLarge
from watchword.protocol import event_types
from watchword.protocol.event_building import EventDraft, build_event
from watchword.protocol.events import EventTooLarge, Pdu, reference_hash
from watchword.protocol.ids import EventId, RoomId, ServerName
from watchword.protocol.relations import annotation_of, relation_of, thread_root
from watchword.protocol.signatures import SigningKey
from watchword.server.rooms import decide, relation_tables
from watchword.server.rooms.append import Appender, NewPdu
from watchword.server.rooms.commands import ChangeMembership, SendEvent, Transaction
from watchword.server.rooms.decide import Accepted, AlreadySo, Draft, Refused, Related
from watchword.server.rooms.incoming import Verified, encoded
from watchword.server.rooms.policy_server import PolicyGate
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.relations_index import annotation_key
from watchword.server.rooms.room import Room
from watchword.server.rooms.sent import SentTransactions
from watchword.server.rooms.stored import EventStore
from watchword.storage import Database, Tx
from watchword.storage.names import Names

NOT_IN_ROOM = "You are not in this room."


@dataclass(frozen=True)
class Identity:
    """Who this server is."""

    server_name: ServerName
    signing_key: SigningKey


@dataclass(frozen=True)
class RoomWriter:
    """Carries commands out. `registry`, `appender` and `names` also serve its neighbours in this feature."""

    database: Database
    registry: RoomRegistry
    appender: Appender
    sent: SentTransactions
    events: EventStore
    names: Names
    identity: Identity
    clock: Clock
    entropy: Entropy
    policy: PolicyGate

    async def send(self, command: SendEvent) -> EventId:
        """Send an event; returns once it is durable. Raises Refusal."""
        redacted = await self._redacted(command) if command.type == event_types.REDACTION else None
        if relation_of(command.content) is not None:
            return await self._send_related(command, redacted)
        if command.state_key is not None and command.type != event_types.REDACTION:
            return await self._send_state(command)
        return await self._submit(
            command.room_id,
            command.transaction,
            lambda room: decide.send_event(room, command, self.clock.now_ms(), redacted),
        )

    async def _send_state(self, command: SendEvent) -> EventId:
        """Send a state event, unless its sender has set the same there last."""
        current: Pdu | None = None

        async def prepare(room: Room) -> None:
            nonlocal current
            event_id = room.state.get((command.type, command.state_key or ""))
            if event_id is None:
                return
            # What is on its way to the disk counts: only who has the pen sees that.
            async with self.database.write(wait=False) as tx:
                event = await self.events.one(tx, event_id)
            if event is not None and event.redacted_by_nid is None:
                current = event.pdu

        def decision(room: Room) -> decide.Decision:
            decided = decide.send_event(room, command, self.clock.now_ms())
            return (isinstance(decided, Accepted) and decide.already_set(current, command)) or decided

        return await self._submit(command.room_id, command.transaction, decision, prepare)

    async def _send_related(self, command: SendEvent, redacted: Pdu | None) -> EventId:
        """Send an event that relates to another: what it relates to is looked up under the room's lock."""
        related = Related()

        async def prepare(room: Room) -> EventId | None:
            nonlocal related
            # Written a moment ago counts, even if it is not on the disk yet: only who has the pen sees that.
            async with self.database.write(wait=False) as tx:
                related = await self._related(tx, room, command)
                if related.is_annotated and command.transaction is not None:
                    # The same request again, after a restart perhaps.
                    return await self.sent.find(tx, command.transaction)
            return None

        return await self._submit(
            command.room_id,
            command.transaction,
            lambda room: decide.send_event(room, command, self.clock.now_ms(), redacted, related),
            prepare,
        )

    async def _related(self, tx: Tx, room: Room, command: SendEvent) -> Related:
        annotation = annotation_of(command.sender, command.type, command.content)
        if annotation is not None:
            sender_nid = await self.names.number(tx, command.sender)
            key = annotation_key(annotation.key)
            found = await relation_tables.has_annotated(tx, room.room_nid, annotation.event_id, sender_nid, command.type, key)
            return Related(is_annotated=found)
        root_id = thread_root(command.content)
        root = None if root_id is None else await self.events.one(tx, root_id)
        return Related() if root is None else Related(root.pdu)

    async def _redacted(self, command: SendEvent) -> Pdu | None:
        room = await self.registry.find(command.room_id)
        target = None if room is None else decide.redacted_by(command, room.version)
        if target is None:
            return None
        async with self.database.read() as tx:
            event = await self.events.one(tx, target)
        return None if event is None else event.pdu

    async def change_membership(self, command: ChangeMembership) -> EventId:
        """Change a membership in a room that this server is in; returns once it is durable. Raises Refusal."""

        def decision(room: Room) -> decide.Decision:
            done = decide.already_so(room, command)
            return decide.change_membership(room, command, self.clock.now_ms()) if done is None else done

        return await self._submit(command.room_id, command.transaction, decision, self._load_for(command))

    async def renew_member(self, command: ChangeMembership) -> EventId:
        """Send a joined user's own member event again with other content (a new display name). Raises Refusal."""
        return await self._submit(
            command.room_id,
            command.transaction,
            lambda room: decide.change_membership(room, command, self.clock.now_ms()),
            self._load_for(command),
        )

    async def _submit(
        self,
        room_id: RoomId,
        transaction: Transaction | None,
        decision: Callable[[Room], decide.Decision],
        prepare: Callable[[Room], Awaitable[EventId | None]] | None = None,
    ) -> EventId:
        """Decide and append under the room's lock. prepare: has at hand what the decision reads; gives an earlier event."""
        async with self.registry.locked(room_id) as room:
            if room is None or not room.is_alive:
                raise Forbidden(NOT_IN_ROOM)
            made: NewPdu | EventId | None = None
            if room.policy_server is None:
                made = await self._made(room, transaction, decision, prepare)
            if isinstance(made, NewPdu):
                event_id = made.pdu.event_id
                async with self.appending(room) as (tx, durable):
                    if transaction is not None:
                        event_id = await self.sent.record(tx, transaction, event_id, self.clock.now_ms())
                    if event_id == made.pdu.event_id:
                        await self.appender.append(tx, room, made)
        if made is None:
            return await self._submit_signed(room_id, transaction, decision, prepare)
        if not isinstance(made, NewPdu):
            # What answers this request may be on its way to the disk only.
            await self.registry.settled(room_id)
            return made
        await durable()
        return event_id

    async def _submit_signed(
        self,
        room_id: RoomId,
        transaction: Transaction | None,
        decision: Callable[[Room], decide.Decision],
        prepare: Callable[[Room], Awaitable[EventId | None]] | None,
    ) -> EventId:
        """The same in a room with a policy server, which is asked while others may write to the room."""
        async with self.policy.turn(room_id):
            async with self.registry.locked(room_id) as room:
                if room is None or not room.is_alive:
                    raise Forbidden(NOT_IN_ROOM)
                made = await self._made(room, transaction, decision, prepare)
            if not isinstance(made, NewPdu):
                await self.registry.settled(room_id)
                return made
            server = room.policy_server
            pdu = made.pdu if server is None else await self.policy.signed(server, made.pdu, room.version)
            return await self.policy.places.take_own(room_id, Verified(pdu, encoded(pdu, room.version)), transaction)

    async def _made(
        self,
        room: Room,
        transaction: Transaction | None,
        decision: Callable[[Room], decide.Decision],
        prepare: Callable[[Room], Awaitable[EventId | None]] | None,
    ) -> NewPdu | EventId:
        """The event to send; or the ID of the one that is the answer already. The room's lock is held. Raises Refusal."""
        earlier = None if transaction is None else self.sent.recent(transaction)
        if earlier is None and prepare is not None:
            earlier = await prepare(room)
        if earlier is not None:
            return earlier
        decided = decision(room)
        match decided:
            case Refused():
                raise refusal_of(decided)
            case AlreadySo():
                return decided.event_id
            case Accepted():
                return await self.build(room, decided.draft)
            case _:
                assert_never(decided)

    def _load_for(self, command: ChangeMembership) -> Callable[[Room], Awaitable[None]] | None:
        """Has at hand what the decision reads beside the key events; None if there is nothing."""
        invite = command.content.get("third_party_invite")
        signed = invite.get("signed") if isinstance(invite, dict) else None
        token = signed.get("token") if isinstance(signed, dict) else None
        if not isinstance(token, str):
            return None
        key = (event_types.THIRD_PARTY_INVITE, token)
        return lambda room: self.registry.load_state(room, [key])

    async def build(self, room: Room, draft: Draft) -> NewPdu:
        """Hash and sign a draft. Raises Refusal if its content cannot be an event."""
        event_id: EventId | None = None
        reference_hashes: Mapping[EventId, bytes] = {}
        if room.version.event_ids_in_events:
            event_id = EventId(f"${self.entropy.token(18)}:{self.identity.server_name}")
            reference_hashes = await self._reference_hashes(room, (*draft.prev_events, *draft.auth_events))
        new = EventDraft(
            draft.type,
            draft.sender,
            room.room_id or None,
            draft.content,
            draft.origin_server_ts,
            draft.depth,
            draft.prev_events,
            draft.auth_events,
            draft.state_key,
            draft.redacts,
            event_id,
            reference_hashes,
            draft.sticky,
        )
        try:
            pdu, encoded = build_event(new, room.version, self.identity.server_name, self.identity.signing_key)
        except EventTooLarge as error:
            raise TooLarge("The event is too large.") from error
        except RemoteProtocolError as error:
            raise BadRequest("M_BAD_JSON", "The content cannot be sent: it is not canonical JSON.") from error
        return NewPdu(pdu, encoded)

    async def _reference_hashes(self, room: Room, event_ids: Sequence[EventId]) -> Mapping[EventId, bytes]:
        async with self.database.read() as tx:
            found = await self.events.many(tx, event_ids)
        return {event_id: reference_hash(event.pdu.json, room.version) for event_id, event in found.items()}

    @asynccontextmanager
    async def appending(self, room: Room) -> AsyncIterator[tuple[Tx, Callable[[], Awaitable[None]]]]:
        """A transaction on a room whose lock is held; if it fails, the room is read from the database again.

        Gives the transaction and what to await, after the lock is released, before anything is acknowledged.
        """
        try:
            async with self.database.write(wait=False) as tx:
                if room.evicted:
                    # It waited for the pen until a commit had failed, and what it says of the room was lost with that.
                    raise StorageError("what the event builds on was not committed")
                tx.after_failure(lambda: self.registry.evict(room))
                self.registry.unsettle(room, tx)
                yield tx, tx.durable
        except BaseException:
            self.registry.evict(room)
            raise


def refusal_of(refused: Refused) -> Refusal:
    """A returned refusal as the error that the door shows."""
    return Refusal(refused.errcode, refused.text, status=refused.status, extra=refused.extra)
