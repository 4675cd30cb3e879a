from tests.unit.server.e2ee.world import ALICE, BOB, PHONE
from watchword.server.changes import CrossSigningChanged, DeviceListChanged, PushersChanged
from watchword.server.e2ee.recent_changes import RecentChanges
from watchword.storage.log import Logged, Position


def recent() -> RecentChanges:
    built = RecentChanges()
    for position, change in (
        (2, DeviceListChanged(ALICE, PHONE)),
        (3, PushersChanged(ALICE)),
        (5, DeviceListChanged(BOB, PHONE)),
        (7, CrossSigningChanged(ALICE)),
        (8, DeviceListChanged(ALICE, None)),
    ):
        built.listen(Logged(Position(position), change))
    return built


def test_changes_between_two_positions_exclude_the_first_and_include_the_last() -> None:
    assert recent().between(Position(2), Position(7)) == [(BOB, 5), (ALICE, 7)]
    assert len(recent().between(Position(0), Position(9))) == 4


def test_the_last_change_of_devices_passes_over_cross_signing_and_other_users() -> None:
    assert recent().last(ALICE, 8) == 2
    assert recent().last(ALICE, 9) == 8
    assert recent().last(ALICE, 9, PHONE) == 2
    assert recent().last(ALICE, 2) == 0


def test_what_was_copied_is_dropped() -> None:
    changes = recent()
    changes.drop(Position(5))
    assert changes.between(Position(0), Position(9)) == [(ALICE, 7), (ALICE, 8)]
