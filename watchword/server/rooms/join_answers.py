"""The answer to a join: the state before it and its auth chain, put together from stored bytes.

Spec: server-server-api#put_matrixfederationv2send_joinroomideventid
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson

from watchword.protocol import event_types
from watchword.protocol.events import Pdu, StateMap
from watchword.protocol.ids import EventId, ServerName
from watchword.server.rooms import graph_tables, history, tables
from watchword.server.rooms.incoming import Verified
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import EventStore
from watchword.storage import Database, ReadTx

_HEROES = 5


@dataclass(frozen=True)
class JoinAnswers:
    """Encodes states and auth chains."""

    database: Database
    events: EventStore
    server_name: ServerName

    async def encode(
        self, room: Room, join: Verified, before: StateMap, servers: Sequence[ServerName], *, omit_members: bool
    ) -> bytes:
        """The body. servers: those in the room before the join."""
        state = list(_without_members(before, join.pdu) if omit_members else before.values())
        async with self.database.read() as tx:
            encoded = await graph_tables.encoded_events(tx, state)
            chain = await self.auth_chain(tx, [*state, *join.pdu.auth_events], with_given=join.pdu.auth_events)
            omitted = encoded.keys() if omit_members else ()
            chain_encoded = [event for event_id, event in chain.items() if event_id not in omitted]
        parts = [
            b'"origin":' + orjson.dumps(self.server_name),
            b'"event":' + join.json,
            b'"members_omitted":' + (b"true" if omit_members else b"false"),
            b'"servers_in_room":' + orjson.dumps(servers),
            b'"state":[' + b",".join(encoded.values()) + b"]",
            b'"auth_chain":[' + b",".join(chain_encoded) + b"]",
        ]
        return b"{" + b",".join(parts) + b"}"

    async def state_before(self, room: Room, event_id: EventId) -> StateMap:
        """The state before an event that is here; {} if it is not known."""
        async with self.database.read() as tx:
            event = await self.events.one(tx, event_id)
            return {} if event is None else await history.state_before(tx, room.room_nid, event)

    async def auth_chain(
        self, tx: ReadTx, event_ids: Collection[EventId], *, with_given: Collection[EventId] = ()
    ) -> dict[EventId, bytes]:
        """The encoded auth chains of events, without the events themselves unless they are part of it, or in with_given."""
        known = {event_id: nid for event_id, (nid, _) in (await tables.known_events(tx, event_ids)).items()}
        chain = await graph_tables.auth_chain(tx, known.values())
        chain |= {known[event_id] for event_id in with_given if event_id in known}
        return await graph_tables.encoded_events_by_nid(tx, chain)


def _without_members(state: StateMap, join: Pdu) -> list[EventId]:
    """The state without member events, but for the one of the joining user and those that give a nameless room its name."""
    others = [event_id for key, event_id in state.items() if key[0] != event_types.MEMBER]
    own = state.get((event_types.MEMBER, join.sender))
    if own is not None:
        others.append(own)
    if (event_types.NAME, "") not in state and (event_types.CANONICAL_ALIAS, "") not in state:
        others.extend([each for key, each in state.items() if key[0] == event_types.MEMBER and each != own][:_HEROES])
    return others
