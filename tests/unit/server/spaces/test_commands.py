"""A room as somebody may be told of it."""

from watchword.server.spaces.commands import Described


def test_rooms_whose_members_may_join_are_named() -> None:
    assert Described({"allowed_room_ids": ["!a:x"]}).allowed_rooms == ["!a:x"]
    assert Described({}).allowed_rooms == ()
