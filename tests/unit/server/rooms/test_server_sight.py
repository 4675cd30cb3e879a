from watchword.server.rooms.server_sight import ServerSight, member_keys_of, merged
from watchword.server.rooms.visibility import History, Interval

FOREVER = 1 << 60
NEVER = History((), None)


def a_sight(visibility: str, joined: History = NEVER, invited: History = NEVER) -> ServerSight:
    return ServerSight(History([Interval(1, FOREVER, visibility)], "shared"), joined, invited)


def test_shared_history_is_for_every_server_in_the_room() -> None:
    assert a_sight("shared").sees(5)
    assert a_sight("world_readable").sees(5)
    assert a_sight("shared").sees_everything
    assert not a_sight("joined").sees_everything


def test_narrow_history_is_for_servers_with_somebody_there_at_the_time() -> None:
    joined = History([Interval(10, 20, "join")], None)
    sight = a_sight("joined", joined)
    assert [sight.sees(position) for position in (10, 11, 20, 21)] == [False, True, True, False]
    invited = a_sight("invited", joined, History([Interval(5, 10, "invite")], None))
    assert [invited.sees(position) for position in (5, 6, 11, 21)] == [False, True, True, False]
    assert not a_sight("joined", NEVER, History([Interval(5, FOREVER, "invite")], None)).sees(7)


def test_an_event_s_own_state_counts_more_than_the_line() -> None:
    sight = a_sight("shared")
    assert not sight.sees(5, visibility="joined", memberships=["invite", "leave"])
    assert sight.sees(5, visibility="joined", memberships=["join"])
    assert sight.sees(5, visibility="invited", memberships=["invite"])


def test_the_stretches_of_several_users_are_one() -> None:
    intervals = [Interval(8, 12, "join"), Interval(1, 5, "join"), Interval(5, 6, "join"), Interval(2, 90, "leave")]
    assert list(merged(intervals, "join").intervals) == [Interval(1, 6, "join"), Interval(8, 12, "join")]


def test_the_members_of_one_server_are_told_from_others() -> None:
    state = [("m.room.member", "@a:x.example"), ("m.room.member", "@a:y.x.example"), ("m.room.name", "@a:x.example")]
    assert member_keys_of(state, "x.example") == [("m.room.member", "@a:x.example")]
