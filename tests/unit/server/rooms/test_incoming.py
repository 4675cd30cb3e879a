from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Signatures, Stack
from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.base.errors import RemoteProtocolError
from watchword.protocol.ids import RoomId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.incoming import IncomingChecks, RoomKind, Verified, encoded, read_event, settled


async def test_an_event_must_be_of_the_room_that_was_asked_about(a: Stack) -> None:
    room_id = await a.create()
    raw = await a.crafted(room_id, a.user("alice"), {})
    version = (await a.room(room_id)).version
    assert read_event(raw, RoomKind(room_id, version)).room_id == room_id
    with pytest.raises(RemoteProtocolError):
        read_event(raw, RoomKind(RoomId("!" + "x" * 43), version))


async def test_history_may_cite_more_than_new_events(a: Stack) -> None:
    room_id = await a.create()
    raw = await a.crafted(room_id, a.user("alice"), {})
    kind = RoomKind(room_id, (await a.room(room_id)).version)
    raw["prev_events"] = [f"${number}" for number in range(limits.prev_events_max + 1)]
    with pytest.raises(RemoteProtocolError):
        read_event(raw, kind)
    assert len(read_event(raw, kind, references_bounded=False).prev_events) == limits.prev_events_max + 1


@pytest.mark.parametrize(
    ("version", "value", "stands"), [("5", 1.5, True), ("5", 1 << 60, True), ("6", 1.5, False), ("12", 1 << 60, False)]
)
async def test_numbers_are_as_strict_as_the_room_version(version: str, value: Any, stands: bool, a: Stack) -> None:
    room_id = await a.create(version=version)
    raw = await a.crafted(room_id, a.user("alice"), {"n": 1})
    raw["content"]["n"] = value
    kind = RoomKind(room_id, ROOM_VERSIONS[version])
    if stands:
        assert read_event(raw, kind).content["n"] == value
    else:
        with pytest.raises(RemoteProtocolError):
            read_event(raw, kind)


async def test_a_changed_content_is_taken_away_and_an_honest_one_kept(a: Stack) -> None:
    room_id = await a.create()
    version = (await a.room(room_id)).version
    raw = await a.crafted(room_id, a.user("alice"), {"body": "x"})
    pdu = read_event(raw, RoomKind(room_id, version))
    assert settled(pdu, version).json == encoded(pdu, version)
    changed = settled(read_event({**raw, "content": {"body": "y"}}, RoomKind(room_id, version)), version)
    assert changed.pdu.content == {}
    assert changed.pdu.event_id == pdu.event_id


async def test_of_an_answer_stands_what_is_formed_signed_new_and_of_the_room(network: Network, a: Stack) -> None:
    room_id = await a.create()
    kind = RoomKind(room_id, (await a.room(room_id)).version)
    signatures = Signatures(network)
    checks = IncomingChecks(signatures, ManualClock())
    good, known, unsigned = [await a.crafted(room_id, a.user("alice"), {"body": str(number)}) for number in range(3)]
    known_id = read_event(known, kind).event_id
    unsigned["signatures"] = {}
    found = await checks.take([good, good, known, unsigned, {"x": 1}], kind, [known_id])
    assert list(found) == [read_event(good, kind).event_id]
    assert signatures.checked == 2


async def test_a_large_batch_is_verified_in_parts(network: Network, a: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "events_verified_at_once", 2)
    room_id = await a.create()
    kind = RoomKind(room_id, (await a.room(room_id)).version)
    raws = [await a.crafted(room_id, a.user("alice"), {"body": str(number)}) for number in range(5)]
    checks = IncomingChecks(Signatures(network), ManualClock())
    answers = await checks.verify([read_event(raw, kind) for raw in raws], kind.version)
    assert all(isinstance(answer, Verified) for answer in answers)
    assert len(await checks.take(raws, kind)) == 5
