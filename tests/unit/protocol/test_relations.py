from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.relations import (
    Annotation,
    Relation,
    annotation_of,
    edit_order,
    is_edit,
    is_valid_edit,
    may_be_thread_root,
    relation_of,
    replied_to,
    thread_of,
    thread_root,
)

ALICE = UserId("@alice:hs")
ROOT = EventId("$root")


def relates(rel_type: str, event_id: str = ROOT, **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event_id, **more}}


def an_event(event_id: str, content: Mapping[str, Any], event_type: str = "m.room.message", **changes: Any) -> Pdu:
    pdu = Pdu(EventId(event_id), RoomId("!r:hs"), ALICE, event_type, None, content, 1, 1, (), (), {})
    return msgspec.structs.replace(pdu, **changes)


def test_a_relation_has_a_type_and_a_target() -> None:
    assert relation_of(relates("m.reference", key="x")) == Relation("m.reference", ROOT, None)


def test_an_annotation_has_a_key() -> None:
    assert relation_of(relates("m.annotation", key="👍")) == Relation("m.annotation", ROOT, "👍")
    assert relation_of(relates("m.annotation", key=5)) == Relation("m.annotation", ROOT, None)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"m.relates_to": None},
        {"m.relates_to": []},
        {"m.relates_to": {"rel_type": "m.thread"}},
        {"m.relates_to": {"event_id": "$x"}},
        {"m.relates_to": {"rel_type": 5, "event_id": "$x"}},
        {"m.relates_to": {"rel_type": "m.thread", "event_id": []}},
        {"m.relates_to": {"m.in_reply_to": {"event_id": "$x"}}},
    ],
)
def test_what_is_malformed_or_a_reply_relates_to_nothing(content: Mapping[str, Any]) -> None:
    assert relation_of(content) is None
    assert may_be_thread_root(content)
    assert thread_root(content) is None


def test_a_reply_names_what_it_replies_to() -> None:
    assert replied_to({"m.relates_to": {"m.in_reply_to": {"event_id": "$x"}}}) == "$x"


@pytest.mark.parametrize("relates_to", [None, {}, {"m.in_reply_to": []}, {"m.in_reply_to": {"event_id": 5}}])
def test_a_malformed_reply_is_none(relates_to: object) -> None:
    assert replied_to({"m.relates_to": relates_to}) is None


def test_an_event_in_a_thread_names_its_root() -> None:
    assert thread_root(relates("m.thread")) == ROOT
    assert thread_root(relates("m.reference")) is None
    assert not may_be_thread_root(relates("m.reference"))


CONTENTS: Mapping[EventId, Mapping[str, Any]] = {
    EventId("$root"): {},
    EventId("$reply"): relates("m.thread"),
    EventId("$edit"): relates("m.replace", "$reply"),
    EventId("$reaction"): relates("m.annotation", "$edit", key="x"),
    EventId("$loop"): relates("m.reference", "$loop"),
    EventId("$lost"): relates("m.reference", "$unknown"),
}


@pytest.mark.parametrize(
    ("event_id", "thread"),
    [("$root", None), ("$reply", ROOT), ("$edit", ROOT), ("$reaction", ROOT), ("$loop", None), ("$lost", None)],
)
def test_what_relates_to_an_event_in_a_thread_belongs_to_it(event_id: str, thread: str | None) -> None:
    assert thread_of(CONTENTS[EventId(event_id)], CONTENTS.get) == thread


def a_chain(length: int) -> dict[EventId, dict[str, Any]]:
    chain = {EventId(f"${step}"): relates("m.reference", f"${step + 1}") for step in range(length)}
    return {**chain, EventId(f"${length}"): relates("m.thread")}


@pytest.mark.parametrize(("length", "thread"), [(3, ROOT), (4, None)])
def test_relations_are_followed_only_so_far(length: int, thread: str | None) -> None:
    contents = a_chain(length)
    assert thread_of(contents[EventId("$0")], contents.get) == thread


class TestEdit:
    ORIGINAL = an_event("$root", {"body": "a"})
    EDIT = an_event("$edit", {**relates("m.replace"), "m.new_content": {"body": "b"}})

    def test_of_the_same_sender_type_and_room_counts(self) -> None:
        assert is_edit(self.EDIT)
        assert not is_edit(self.ORIGINAL)
        assert is_valid_edit(self.EDIT, self.ORIGINAL)

    @pytest.mark.parametrize(
        "changes",
        [
            {"room_id": "!x:hs"},
            {"sender": "@bob:hs"},
            {"type": "m.sticker"},
            {"state_key": ""},
            {"content": {}},
            {"content": relates("m.replace")},
            {"content": {**relates("m.replace"), "m.new_content": "b"}},
            {"content": {**relates("m.reference"), "m.new_content": {}}},
            {"content": {**relates("m.replace", "$other"), "m.new_content": {}}},
        ],
    )
    def test_that_differs_does_not_count(self, changes: Mapping[str, Any]) -> None:
        assert not is_valid_edit(msgspec.structs.replace(self.EDIT, **changes), self.ORIGINAL)

    def test_of_state_or_of_an_edit_does_not_count(self) -> None:
        assert not is_valid_edit(self.EDIT, msgspec.structs.replace(self.ORIGINAL, state_key=""))
        assert not is_valid_edit(self.EDIT, msgspec.structs.replace(self.ORIGINAL, content=relates("m.replace", "$x")))

    def test_of_an_encrypted_event_hides_its_content(self) -> None:
        original = an_event("$root", {}, "m.room.encrypted")
        assert is_valid_edit(an_event("$edit", relates("m.replace"), "m.room.encrypted"), original)

    def test_is_newest_by_time_then_by_id(self) -> None:
        edits = [an_event("$b", {}), an_event("$a", {}, origin_server_ts=2), an_event("$c", {})]
        assert [edit.event_id for edit in sorted(edits, key=edit_order)] == ["$b", "$c", "$a"]


def test_an_annotation_is_known_by_sender_type_target_and_key() -> None:
    content = relates("m.annotation", key="👍")
    assert annotation_of(ALICE, "m.reaction", content) == Annotation(ALICE, "m.reaction", ROOT, "👍")


@pytest.mark.parametrize("content", [{}, relates("m.reference", key="x"), relates("m.annotation")])
def test_other_events_make_no_annotation(content: Mapping[str, Any]) -> None:
    assert annotation_of(ALICE, "m.reaction", content) is None
