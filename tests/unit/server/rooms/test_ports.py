"""What stands in where nothing was fitted."""

import pytest

from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server.rooms.ports import NO_BANS, NO_INVITATION_SERVERS, NO_PUSH_RULES

USER, ROOM = UserId("@me:hs"), RoomId("!r:hs")


def test_a_server_without_lists_bans_nobody() -> None:
    assert not NO_BANS.bans_user(USER)
    assert not NO_BANS.bans_server(ServerName("hs"))
    assert not NO_BANS.bans_room(ROOM)


async def test_a_server_without_push_rules_has_none_to_copy() -> None:
    await NO_PUSH_RULES.copy_room_rules(USER, ROOM, RoomId("!new:hs"))


async def test_a_server_without_identity_servers_asks_none() -> None:
    assert not NO_INVITATION_SERVERS.enabled
    assert not await NO_INVITATION_SERVERS.is_key_valid("https://id.example", "key")
    with pytest.raises(AssertionError):
        NO_INVITATION_SERVERS.read_address("email", "a@b.c")
    with pytest.raises(AssertionError):
        await NO_INVITATION_SERVERS.lookup("id.example", "token", ("email", "a@b.c"))
    with pytest.raises(AssertionError):
        await NO_INVITATION_SERVERS.store_invite("id.example", "token", {})
