"""Raw room events become typed ones: decrypted where possible, and kept for later where only the key is missing.

Pure. What waits for a key is bounded and lives in memory: after a restart it can be read again from the server.
"""

from collections.abc import Mapping
from typing import Any

from watchword.client.crypto.failures import DecryptionFailure, Undecryptable
from watchword.client.crypto.machine import CryptoMachine
from watchword.client.crypto.untrusted import integer_at, object_at, text_at
from watchword.client.events import RoomEvent, TimelineEvent, UndecryptableEvent

_WAITING_MAX = 5_000
_MAY_COME = (Undecryptable.NO_KEY, Undecryptable.WITHHELD, Undecryptable.TOO_EARLY)


class Timeline:
    """Reads events with the keys of one machine."""

    def __init__(self, machine: CryptoMachine) -> None:
        self._machine = machine
        self._waiting: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
        self._waiting_count = 0

    def read(self, room_id: str, raw: object) -> TimelineEvent | None:
        """The typed event; None if it is malformed."""
        event_id, sender, event_type = text_at(raw, "event_id"), text_at(raw, "sender"), text_at(raw, "type")
        if event_id is None or sender is None or event_type is None or not isinstance(raw, dict):
            return None
        timestamp = integer_at(raw, "origin_server_ts") or 0
        state_key, transaction_id = text_at(raw, "state_key"), text_at(raw, "unsigned", "transaction_id")
        content = object_at(raw, "content")
        if event_type != "m.room.encrypted" or state_key is not None or not content:
            return RoomEvent(room_id, event_id, sender, event_type, content, timestamp, state_key, None, transaction_id)
        try:
            opened = self._machine.decrypt(room_id, raw)
        except DecryptionFailure as failure:
            if failure.reason in _MAY_COME:
                self._wait(room_id, failure.session_id, event_id, raw)
            return UndecryptableEvent(
                room_id, event_id, sender, timestamp, failure.reason, failure.session_id, failure.withheld_code
            )
        return RoomEvent(
            room_id,
            event_id,
            sender,
            opened.type,
            opened.content,
            timestamp,
            trust=opened.trust,
            transaction_id=transaction_id,
            session_id=opened.session_id,
        )

    def _wait(self, room_id: str, session_id: str, event_id: str, raw: Mapping[str, Any]) -> None:
        while self._waiting_count >= _WAITING_MAX:
            oldest = next(iter(self._waiting))
            self._waiting_count -= len(self._waiting.pop(oldest))
        events = self._waiting.setdefault((room_id, session_id), {})
        self._waiting_count += event_id not in events
        events[event_id] = raw

    def missing(self) -> list[tuple[str, str]]:
        """(room ID, session ID) of every key that something waits for."""
        return list(self._waiting)

    def retry(self, room_id: str, session_id: str) -> list[RoomEvent]:
        """What can be read now that this key is here."""
        events = self._waiting.pop((room_id, session_id), {})
        self._waiting_count -= len(events)
        read = [self.read(room_id, raw) for raw in events.values()]
        return [event for event in read if isinstance(event, RoomEvent)]

    def retry_all(self) -> list[RoomEvent]:
        """What can be read now that many keys may be here."""
        return [event for room_id, session_id in self.missing() for event in self.retry(room_id, session_id)]
