"""What a destination is owed."""

import pytest

from tests.unit.server.federation.stacks import ALICE, ROOM, B
from watchword.protocol.ids import DeviceId, EventId
from watchword.server.changes import (
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    PresenceChanged,
    ProfileChanged,
    ReceiptChanged,
    ToDeviceOutgoing,
    TypingChanged,
)
from watchword.server.federation.outbox import Item, Outbox, Transaction, item_of
from watchword.storage import Position


def an_event(position: int) -> Item:
    return an_item(position, EventAppended(ROOM, EventId(f"${position}"), "m.room.message", None, ALICE, True))


def an_item(position: int, change: Change) -> Item:
    return item_of(Position(position), change)


def typing(position: int) -> Item:
    return an_item(position, TypingChanged(ROOM, ALICE, True, 1))


def positions(outbox: Outbox) -> list[int]:
    return [item.position for item in outbox.next_items()]


def take(outbox: Outbox) -> None:
    outbox.put_in_flight(Transaction("t", outbox.next_items(), b""))


def test_newer_news_of_the_same_thing_replace_the_older() -> None:
    outbox = Outbox(B)
    kinds: list[Change] = [
        TypingChanged(ROOM, ALICE, True, 1),
        ReceiptChanged(ROOM, ALICE, "m.read", EventId("$1"), None, 1),
        PresenceChanged(ALICE),
        CrossSigningChanged(ALICE),
        ToDeviceOutgoing(B, "m"),
        DeviceListChanged(ALICE, DeviceId("D")),
    ]
    for position, change in enumerate(kinds * 2, 1):
        outbox.offer(an_item(position, change))
    # Device lists are a chain: each update names the one before.
    assert positions(outbox) == [6, 7, 8, 9, 10, 11, 12]


def test_what_is_not_for_other_servers_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        an_item(1, ProfileChanged(ALICE, "displayname"))


def test_a_transaction_takes_a_prefix_within_both_bounds() -> None:
    outbox = Outbox(B)
    for position in range(1, 61):
        outbox.offer(an_event(position))
    outbox.offer(typing(61))
    assert positions(outbox) == list(range(1, 51))
    take(outbox)
    assert (outbox.owed_after, len(outbox)) == (0, 11)
    outbox.acknowledge()
    assert (outbox.owed_after, positions(outbox)) == (50, list(range(51, 62)))
    take(outbox)
    outbox.acknowledge()
    assert (outbox.owed_after, outbox.has_work) == (None, False)


def test_what_came_while_an_older_one_was_under_way_stays_owed() -> None:
    outbox = Outbox(B)
    outbox.offer(typing(1))
    items = outbox.next_items()
    outbox.offer(typing(2))
    outbox.put_in_flight(Transaction("t", items, b""))
    outbox.acknowledge()
    assert positions(outbox) == [2]


def test_a_full_list_leaves_the_rest_to_the_log() -> None:
    outbox = Outbox(B, pending_max=2)
    for position in range(1, 6):
        outbox.offer(an_event(position))
    assert (positions(outbox), outbox.resume_after, outbox.owed_after) == ([1, 2], 2, 0)
    assert not outbox.needs_refill
    take(outbox)
    assert not outbox.needs_refill
    outbox.acknowledge()
    assert (outbox.needs_refill, outbox.owed_after) == (True, 2)
    outbox.refill([an_event(3), an_event(4)], None)
    outbox.offer(an_event(6))
    assert positions(outbox) == [3, 4]
    assert outbox.resume_after == 5


def test_thawing_keeps_the_order_and_forgets_what_is_stale() -> None:
    outbox = Outbox(B)
    outbox.offer(an_event(1))
    outbox.offer(typing(2))
    take(outbox)
    outbox.offer(an_event(3))
    outbox.thaw()
    assert (positions(outbox), outbox.in_flight) == ([1, 3], None)


def test_parking_keeps_one_number() -> None:
    outbox = Outbox(B)
    for position in range(5, 9):
        outbox.offer(an_event(position))
    outbox.park()
    outbox.offer(an_event(9))
    assert (len(outbox), outbox.resume_after, outbox.owed_after, outbox.needs_refill) == (0, 4, 4, True)
    outbox.park()
    assert outbox.resume_after == 4


def test_parking_with_nothing_but_stale_news_owes_nothing() -> None:
    outbox = Outbox(B)
    outbox.offer(typing(5))
    outbox.park()
    assert not outbox.has_work


def test_fewer_items_after_a_refusal_and_more_again_after_success() -> None:
    outbox = Outbox(B)
    for position in range(1, 10):
        outbox.offer(an_event(position))
    outbox.items_max = 1
    assert positions(outbox) == [1]
    take(outbox)
    outbox.acknowledge()
    assert positions(outbox) == [2, 3]
