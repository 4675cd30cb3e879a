from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from watchword.base.errors import Refusal
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server.federation.third_party_endpoints import ENDPOINTS
from watchword.server.rooms.commands import PromisedInvite

ROOM, BOB, EVE = RoomId("!r:a.example"), UserId("@bob:b.example"), UserId("@eve:a.example")
SIGNED = {"mxid": BOB, "token": "t", "signatures": {}}
INVITE = PromisedInvite(ROOM, EVE, BOB, SIGNED)


class Invites:
    """Fits PromisedInvites."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def bound(self, user_id: UserId, invites: Sequence[PromisedInvite]) -> None:
        self.asked.append((user_id, list(invites)))

    async def exchange(self, invite: PromisedInvite) -> None:
        self.asked.append(invite)


async def ask(number: int, body: Mapping[str, Any], origin: str | None = None) -> list[Any]:
    endpoint, invites = ENDPOINTS[number], Invites()
    request = Request("PUT", endpoint.path, params={"roomId": ROOM}, json=body)
    await endpoint.handler(request, None if origin is None else ServerRequester(ServerName(origin)), invites)
    return invites.asked


def an_invite(**changes: Any) -> dict[str, Any]:
    return {"medium": "email", "address": "x", "mxid": BOB, "room_id": ROOM, "sender": EVE, "signed": SIGNED, **changes}


def an_exchange(**changes: Any) -> dict[str, Any]:
    content = {"membership": "invite", "third_party_invite": {"display_name": "x", "signed": SIGNED}}
    return {"type": "m.room.member", "room_id": ROOM, "sender": EVE, "state_key": BOB, "content": content, **changes}


async def test_well_formed_invites_are_handed_on_and_others_left_out() -> None:
    invites = [an_invite(), an_invite(signed=5), an_invite(room_id="nonsense"), "nonsense", an_invite(sender="x")]
    body = {"medium": "email", "address": "x", "mxid": BOB, "invites": invites}
    assert await ask(0, body) == [(BOB, [INVITE])]


async def test_more_invites_than_there_can_be_are_not_looked_at() -> None:
    body = {"medium": "email", "address": "x", "mxid": BOB, "invites": [an_invite()] * 100}
    ((_, invites),) = await ask(0, body)
    assert len(invites) == 20


@pytest.mark.parametrize("body", [{}, {"mxid": "x", "invites": []}, {"mxid": BOB}, {"mxid": BOB, "invites": {}}])
async def test_a_binding_must_name_its_user(body: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        await ask(0, body)
    assert refused.value.status == 400


async def test_a_server_has_the_invite_made_of_its_own_user() -> None:
    assert await ask(1, an_exchange(), "b.example") == [INVITE]


@pytest.mark.parametrize(
    ("changes", "origin", "status"),
    [
        ({}, "c.example", 403),
        ({"type": "m.room.message"}, "b.example", 400),
        ({"room_id": "!other:a.example"}, "b.example", 400),
        ({"content": {"membership": "join"}}, "b.example", 400),
        ({"content": {"membership": "invite", "third_party_invite": {}}}, "b.example", 400),
        ({"content": 5}, "b.example", 400),
        ({"sender": "x"}, "b.example", 400),
        ({"state_key": "x"}, "b.example", 400),
    ],
)
async def test_what_is_no_such_invite_is_refused(changes: dict[str, Any], origin: str, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        await ask(1, an_exchange(**changes), origin)
    assert refused.value.status == status
