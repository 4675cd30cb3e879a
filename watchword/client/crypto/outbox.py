"""Requests that must survive a crash: to-device messages already encrypted, and signatures to be uploaded.

They leave in the order they were put in; one that the server refuses as wrong is dropped, one that merely failed stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watchword.base.entropy import Entropy
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import SignaturesUpload, ToDevice


class OutboxRow(msgspec.Struct, frozen=True):
    """A stored request; event_type is "" for signatures."""

    number: int
    event_type: str
    body: dict[str, Any]
    room_id: str = ""


class Outbox:
    """What waits to be delivered."""

    def __init__(self, records: Records, entropy: Entropy) -> None:
        self._rows = records.shelf("outbox", OutboxRow)
        self._entropy = entropy
        self._next = 1 + max((row.number for row in self._rows.values()), default=0)

    def _add(self, event_type: str, body: Mapping[str, Any], room_id: str) -> str:
        request_id = self._entropy.token(12)
        self._rows.put(request_id, OutboxRow(self._next, event_type, dict(body), room_id))
        self._next += 1
        return request_id

    def add_to_device(self, event_type: str, messages: Mapping[str, Mapping[str, Mapping[str, Any]]], room_id: str = "") -> str:
        """Queue a to-device request; room_id: the room whose messages wait for it."""
        return self._add(event_type, messages, room_id)

    def add_signatures(self, body: Mapping[str, Any]) -> str:
        """Queue an upload of signatures."""
        return self._add("", body, "")

    def requests(self, room_id: str | None = None) -> Sequence[ToDevice | SignaturesUpload]:
        """Everything queued, or what one room waits for, oldest first."""
        if not len(self._rows):
            return ()
        rows = [(name, row) for name in self._rows.names() if (row := self._rows.get(name)) is not None]
        rows.sort(key=lambda named: named[1].number)
        return [_request(name, row) for name, row in rows if room_id is None or row.room_id == room_id]

    def receive_answer(self, request_id: str) -> bool:
        """Delivered. False if it is not in here."""
        known = request_id in self._rows
        self._rows.remove(request_id)
        return known

    def receive_failure(self, request_id: str, *, permanent: bool) -> bool:
        """Not delivered: keep it, unless it never can be."""
        known = request_id in self._rows
        if permanent:
            self._rows.remove(request_id)
        return known


def _request(name: str, row: OutboxRow) -> ToDevice | SignaturesUpload:
    if row.event_type == "":
        return SignaturesUpload(name, row.body)
    return ToDevice(name, row.event_type, row.body, row.room_id)
