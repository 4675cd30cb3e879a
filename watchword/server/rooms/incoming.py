"""The first three checks on an event from another server: its form, its signatures, its content hash.

What passes is ready to be judged by the authorisation rules. A wrong content hash is no reason to refuse: the event goes
on without what was tampered with.
Deliberately absent: authorisation (`own_auth`, `intake`), and fetching (`fetching`).

Spec: server-server-api#checks-performed-on-receipt-of-a-pdu
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json
from watchword.protocol.events import Pdu, content_hash_matches, parse_pdu
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.redaction import redact
from watchword.protocol.room_versions import RoomVersion
from watchword.server.rooms.ports import EventSignatures, KeyLacking


@dataclass(frozen=True, slots=True)
class Verified:
    """An event that its sender's server really sent. json: canonical, as it will be stored."""

    pdu: Pdu
    json: bytes


@dataclass(frozen=True, slots=True)
class RoomKind:
    """What the first checks must know of a room."""

    room_id: RoomId
    version: RoomVersion


def read_event(raw: Mapping[str, Any], room: RoomKind, *, references_bounded: bool = True) -> Pdu:
    """Check an event's form, and that it is of this room. Raises RemoteProtocolError.

    references_bounded: False for history, where more references are allowed than in new events.
    """
    pdu = parse_pdu(raw, room.version, references_bounded=references_bounded)
    if pdu.room_id != room.room_id:
        raise RemoteProtocolError("The event is of another room.")
    return pdu


def settled(pdu: Pdu, version: RoomVersion, *, references_bounded: bool = True) -> Verified:
    """The event as it is kept: redacted if its content is not what its sender hashed. Raises RemoteProtocolError."""
    if not content_hash_matches(pdu.json):
        pdu = parse_pdu(redact(pdu.json, version), version, references_bounded=references_bounded)
    return Verified(pdu, encoded(pdu, version))


def encoded(pdu: Pdu, version: RoomVersion) -> bytes:
    """The event as it is stored. Raises RemoteProtocolError."""
    if version.strict_canonical_json:
        return canonical_json.encode_checked(pdu.json)
    return canonical_json.encode(pdu.json, strict=False)


@dataclass(frozen=True)
class IncomingChecks:
    """Reads and verifies what other servers send."""

    signatures: EventSignatures
    clock: Clock

    async def verify(
        self, pdus: Sequence[Pdu], version: RoomVersion, *, references_bounded: bool = True
    ) -> list[Verified | str]:
        """One answer per event, in order: the event as it is kept, or why not. Lets others have the loop in between."""
        answers: list[Verified | str] = []
        size = limits.events_verified_at_once
        for start in range(0, len(pdus), size):
            if start:
                await self.clock.sleep(0)
            some = pdus[start : start + size]
            reasons = await self.signatures.check_events([pdu.json for pdu in some], version)
            for pdu, reason in zip(some, reasons, strict=True):
                answers.append(_kept(pdu, version, references_bounded) if reason is None else _refused(reason))
        return answers

    async def take(
        self,
        raws: Iterable[Mapping[str, Any]],
        room: RoomKind,
        known: Iterable[EventId] = (),
        *,
        references_bounded: bool = True,
        lacking: set[EventId] | None = None,
    ) -> dict[EventId, Verified]:
        """Those of the answer of a server that stand: well formed, of this room, signed. known: not looked at again.

        lacking: takes up those that could not be checked, as a key could not be had.
        """
        seen = set(known)
        pdus = []
        for count, raw in enumerate(raws):
            if count % limits.events_verified_at_once == limits.events_verified_at_once - 1:
                await self.clock.sleep(0)
            try:
                pdu = read_event(raw, room, references_bounded=references_bounded)
            except RemoteProtocolError:
                continue
            if pdu.event_id not in seen:
                seen.add(pdu.event_id)
                pdus.append(pdu)
        answers = await self.verify(pdus, room.version, references_bounded=references_bounded)
        if lacking is not None:
            lacking.update(pdu.event_id for pdu, each in zip(pdus, answers, strict=True) if isinstance(each, KeyLacking))
        return {answer.pdu.event_id: answer for answer in answers if isinstance(answer, Verified)}


def _refused(reason: str) -> str:
    told = f"Not signed well: {reason}."
    return KeyLacking(told) if isinstance(reason, KeyLacking) else told


def _kept(pdu: Pdu, version: RoomVersion, references_bounded: bool) -> Verified | str:
    try:
        return settled(pdu, version, references_bounded=references_bounded)
    except RemoteProtocolError as error:
        return str(error)
