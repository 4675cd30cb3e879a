"""Reading one answer of /sync: what concerns encryption into the machine, rooms into the book, the rest into events.

Pure, and never stopped by one malformed part. Spec: client-server-api#get_matrixclientv3sync
"""

from collections.abc import Mapping
from typing import Any

from watchword.client.crypto.machine import CryptoMachine
from watchword.client.crypto.untrusted import object_at, text_at, texts_at
from watchword.client.events import Ephemeral, Invitation, RoomJoined, RoomLeft, SessionEvent, TimelineGap
from watchword.client.rooms import RoomBook
from watchword.client.timeline import Timeline


class SyncReader:
    """Takes syncs apart for one session."""

    def __init__(self, machine: CryptoMachine, rooms: RoomBook, timeline: Timeline, user_id: str) -> None:
        self._machine = machine
        self._rooms = rooms
        self._timeline = timeline
        self._user_id = user_id

    def read(self, answer: Mapping[str, Any]) -> list[SessionEvent]:
        """Take in a whole answer; the events to tell, in order. Keys come before the events that they open."""
        self._read_encryption(answer)
        events: list[SessionEvent] = []
        for room_id, room in object_at(answer, "rooms", "join").items():
            events += self._read_joined(room_id, room)
        for room_id, room in object_at(answer, "rooms", "invite").items():
            events += self._read_invite(room_id, room)
        for room_id, room in object_at(answer, "rooms", "leave").items():
            events += self._read_left(room_id, room)
        return events

    def _read_encryption(self, answer: Mapping[str, Any]) -> None:
        unused = answer.get("device_unused_fallback_key_types")
        self._machine.receive_sync(
            _list(answer, "to_device", "events"),
            changed=texts_at(answer, "device_lists", "changed"),
            left=texts_at(answer, "device_lists", "left"),
            one_time_key_counts=object_at(answer, "device_one_time_keys_count"),
            unused_fallback_types=texts_at(answer, "device_unused_fallback_key_types") if isinstance(unused, list) else None,
        )

    def _read_joined(self, room_id: str, room: object) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        if self._rooms.set_membership(room_id, "join"):
            events.append(RoomJoined(room_id))
        for event in _list(room, "state", "events"):
            self._receive_state(room_id, event)
        timeline, prev_batch = object_at(room, "timeline"), text_at(room, "timeline", "prev_batch")
        if timeline.get("limited") is True and prev_batch is not None:
            events.append(TimelineGap(room_id, prev_batch))
        events += self._read_timeline(room_id, room)
        for event in _list(room, "ephemeral", "events"):
            event_type = text_at(event, "type")
            if event_type is not None:
                events.append(Ephemeral(room_id, event_type, object_at(event, "content")))
        return events

    def _read_timeline(self, room_id: str, room: object) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        for raw in _list(room, "timeline", "events"):
            self._receive_state(room_id, raw)
            event = self._timeline.read(room_id, raw)
            if event is not None:
                events.append(event)
        return events

    def _receive_state(self, room_id: str, event: object) -> None:
        event_type, state_key = text_at(event, "type"), text_at(event, "state_key")
        if event_type is None or state_key is None or not isinstance(event, dict):
            return
        self._rooms.receive_state(room_id, event)
        self._machine.receive_room_state(room_id, event_type, state_key, object_at(event, "content"))
        room = self._rooms.get(room_id)
        if room is None or not room.row.encrypted:
            return
        if event_type == "m.room.encryption":
            # The visibility and the members came before; only now do they matter.
            visibility = {"history_visibility": room.row.history_visibility}
            self._machine.receive_room_state(room_id, "m.room.history_visibility", "", visibility)
            self._machine.devices.track(room.members)
        elif event_type == "m.room.member" and state_key in room.members:
            self._machine.devices.track([state_key])

    def _read_invite(self, room_id: str, room: object) -> list[SessionEvent]:
        state = _list(room, "invite_state", "events")
        sender, name = "", None
        for event in state:
            if text_at(event, "type") == "m.room.member" and text_at(event, "state_key") == self._user_id:
                sender = text_at(event, "sender") or ""
            elif text_at(event, "type") == "m.room.name":
                name = text_at(event, "content", "name")
        return [Invitation(room_id, sender, name)] if self._rooms.set_membership(room_id, "invite") else []

    def _read_left(self, room_id: str, room: object) -> list[SessionEvent]:
        for event in _list(room, "state", "events"):
            self._receive_state(room_id, event)
        events = self._read_timeline(room_id, room)
        if self._rooms.set_membership(room_id, "leave"):
            events.append(RoomLeft(room_id))
        return events


def _list(value: object, *path: str) -> list[object]:
    found = object_at(value, *path[:-1]).get(path[-1])
    return found if isinstance(found, list) else []
