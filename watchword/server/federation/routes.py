"""Which servers a change concerns, and what they are told of it.

Spec: server-server-api#pdus, server-server-api#edus
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from watchword.protocol import event_types
from watchword.protocol.ids import ServerName, domain_of
from watchword.server.changes import (
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    PresenceChanged,
    ReceiptChanged,
    ToDeviceOutgoing,
    TypingChanged,
)
from watchword.server.federation.outbox import Item, item_of
from watchword.server.federation.ports import NOTHING_STICKY, OutgoingE2ee, Presence, RoomServers, StickyOut
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.transactions import Edu
from watchword.storage import Position

_PUBLIC_RECEIPT = "m.read"


@dataclass(frozen=True, slots=True)
class Routes:
    """Asks rooms, devices and presence on behalf of the follower and the sender."""

    settings: FederationSettings
    rooms: RoomServers
    e2ee: OutgoingE2ee
    presence: Presence | None
    sticky: StickyOut = NOTHING_STICKY

    async def destinations(self, change: Change, position: Position) -> Collection[ServerName]:
        """The other servers that are to hear of this change of the log; nearly always none for most kinds."""
        servers = await self._concerned(change, position)
        if not servers:
            return ()
        author = _author(change)
        own = self.settings.server_name
        return [server for server in servers if server not in (own, author) and server and self.settings.may_talk_with(server)]

    async def _concerned(self, change: Change, position: Position) -> Collection[ServerName]:
        match change:
            case EventAppended():
                return await self._servers_for(change, position) if change.sender_is_local else ()
            case TypingChanged():
                return await self.rooms.servers_in_room(change.room_id) if self._is_ours(change.user_id) else ()
            case ReceiptChanged():
                if change.receipt_type != _PUBLIC_RECEIPT or not self._is_ours(change.user_id):
                    return ()
                return await self.rooms.servers_in_room(change.room_id)
            case PresenceChanged():
                if self.presence is None or not self.settings.presence or not self._is_ours(change.user_id):
                    return ()
                return await self.rooms.servers_sharing_room_with(change.user_id)
            case DeviceListChanged() | CrossSigningChanged():
                return await self.rooms.servers_sharing_room_with(change.user_id) if self._is_ours(change.user_id) else ()
            case ToDeviceOutgoing():
                return (change.server_name,)
            case _:
                return ()

    async def _servers_for(self, event: EventAppended, position: Position) -> Collection[ServerName]:
        """A server hears of an event if it is in the room before or after it: also whoever is kicked by it.

        Not if it is in the room now, which may be long after: who was kicked meanwhile is owed what led up to it, and who
        came meanwhile may not see what was before him.
        """
        if event.type == event_types.MEMBER:
            return await self.rooms.servers_at_event(event.room_id, event.event_id, position)
        return await self.rooms.servers_at(event.room_id, position)

    async def for_newcomer(self, change: Change, position: Position) -> tuple[ServerName, Sequence[Item]] | None:
        """A server that has come with a change, and what it is owed of before: events of ours that are sticky still.

        They stand at the position of the join, so that they are owed again if that is read again. Spec: proposals/4354
        """
        if not isinstance(change, EventAppended) or change.membership != "join":
            return None
        found = await self.sticky.for_newcomer(change, position)
        if found is None or not self.settings.may_talk_with(found[0]):
            return None
        return found[0], [item_of(position, event) for event in found[1]]

    def _is_ours(self, user_id: str) -> bool:
        return domain_of(user_id) == self.settings.server_name

    async def edus(self, server_name: ServerName, item: Item) -> Sequence[Edu]:
        """What to tell of a change that is no event; empty if there is nothing to say any more."""
        change = item.change
        match change:
            case TypingChanged():
                content = {"room_id": change.room_id, "user_id": change.user_id, "typing": change.typing}
                return [("m.typing", content)]
            case ReceiptChanged():
                return [("m.receipt", _receipt(change))]
            case PresenceChanged():
                return self._presence(change)
            case DeviceListChanged():
                found = await self.e2ee.device_list_edu(change.user_id, change.device_id, change.deleted, item.position)
                return [("m.device_list_update", found)]
            case CrossSigningChanged():
                return [("m.signing_key_update", await self.e2ee.signing_key_edu(change.user_id))]
            case ToDeviceOutgoing():
                waiting = await self.e2ee.outgoing_to_device(server_name, change.message_id)
                return [] if waiting is None else [("m.direct_to_device", waiting)]
            case _:
                return []

    def _presence(self, change: PresenceChanged) -> Sequence[Edu]:
        content = None if self.presence is None else self.presence.content(change.user_id)
        if content is None:
            return []
        return [("m.presence", {"push": [{"last_active_ago": 0, **content, "user_id": change.user_id}]})]


def _author(change: Change) -> str:
    """Whose server has the event already: it handed it to us, to tell the others.

    Not so an invite: if it is another server's user who invites, it was made here, because he had promised it to an address.
    """
    return domain_of(change.sender) if isinstance(change, EventAppended) and change.membership != "invite" else ""


def _receipt(change: ReceiptChanged) -> dict[str, dict[str, dict[str, object]]]:
    data: dict[str, object] = {"ts": change.ts}
    if change.thread_id is not None:
        data["thread_id"] = change.thread_id
    return {change.room_id: {_PUBLIC_RECEIPT: {change.user_id: {"event_ids": [change.event_id], "data": data}}}}
