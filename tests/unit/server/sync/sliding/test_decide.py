"""Which state is wanted and which rooms pass, by values alone."""

from typing import Any

import pytest

from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId
from watchword.server.sync.sliding.commands import Required, RoomConfig, RoomFilter
from watchword.server.sync.sliding.decide import Facts, Surroundings, any_wants, combined, passes, wanted_state, wants

NAME: StateKey = ("m.room.name", "")
MEMBER: StateKey = ("m.room.member", "@a:b")
ROOM = RoomId("!r:b")


@pytest.mark.parametrize(
    ("required", "wanted"),
    [
        (Required(), set()),
        (Required(((None, None),)), {NAME, MEMBER}),
        (Required((("m.room.name", ""),)), {NAME}),
        (Required((("m.room.name", "x"),)), set()),
        (Required((("m.room.name", ""), ("m.room.member", "@a:b")), (("m.room.name", None),)), {MEMBER}),
        (Required((("m.room.member", None),)), {MEMBER}),
        (Required(((None, "@a:b"),)), {MEMBER}),
        (Required(((None, None),), lazy=True), {NAME}),
        (Required((("m.room.member", None),), lazy=True), {MEMBER}),
        (Required(((None, None),), ((None, ""),)), {MEMBER}),
        (Required(((None, None),), (("m.room.member", None),)), {NAME}),
    ],
)
def test_patterns_say_which_state_is_wanted(required: Required, wanted: set[StateKey]) -> None:
    state = {NAME: EventId("$1"), MEMBER: EventId("$2")}
    assert {key for key in state if wants(required, key)} == wanted
    assert wanted_state(RoomConfig(1, (required,)), state).keys() == wanted
    assert any_wants((Required(), required), NAME) is (NAME in wanted)


def test_rules_combine_to_the_superset() -> None:
    one = RoomConfig(1, (Required((NAME,)),))
    two = RoomConfig(20, (Required((MEMBER,), lazy=True), Required((NAME,))))
    both = combined((one, two))
    assert both == RoomConfig(20, (Required((NAME,)), Required((MEMBER,), lazy=True)))
    assert (one.is_lazy, both.is_lazy) == (False, True)
    assert combined((one,)) is one


ENCRYPTED = Facts("m.space", is_encrypted=True, name="Garden")


@pytest.mark.parametrize(
    ("asked", "facts", "passed"),
    [
        ({}, None, True),
        ({"is_dm": True}, None, False),
        ({"is_dm": False}, None, True),
        ({"is_invited": True}, None, False),
        ({"is_invited": False}, None, True),
        ({"spaces": ()}, None, False),
        ({"spaces": (RoomId("!s:b"),)}, None, False),
        ({"tags": ("t",)}, None, True),
        ({"tags": ("u",)}, None, False),
        ({"tags": ("t",), "not_tags": ("t",)}, None, False),
        ({"not_tags": ("u",)}, None, True),
        ({"is_encrypted": True}, None, False),
        ({"is_encrypted": True}, ENCRYPTED, True),
        ({"is_encrypted": False}, ENCRYPTED, False),
        ({"is_encrypted": False}, Facts(is_known=False), False),
        ({"room_types": ("m.space",)}, ENCRYPTED, True),
        ({"room_types": (None,)}, ENCRYPTED, False),
        ({"room_types": (None,)}, Facts(), True),
        ({"room_types": ("m.space",), "not_room_types": ("m.space",)}, ENCRYPTED, False),
        ({"not_room_types": ("m.space",)}, Facts(), True),
        ({"room_name_like": "ARD"}, ENCRYPTED, True),
        ({"room_name_like": "x"}, ENCRYPTED, False),
        ({"room_name_like": "x"}, Facts(is_known=False), False),
    ],
)
def test_a_filter_lets_rooms_through(asked: dict[str, Any], facts: Facts | None, passed: bool) -> None:
    around = Surroundings(tags={ROOM: {"t"}})
    assert passes(RoomFilter(**asked), ROOM, "join", facts, around) is passed


def test_what_surrounds_a_room_decides() -> None:
    around = Surroundings({ROOM}, None, {ROOM})
    wanted = RoomFilter(is_dm=True, spaces=(RoomId("!s:b"),), is_invited=True)
    assert passes(wanted, ROOM, "invite", None, around)
    assert not passes(RoomFilter(tags=("t",)), ROOM, "invite", None, around)
