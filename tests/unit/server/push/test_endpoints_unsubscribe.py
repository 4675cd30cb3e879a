"""The page behind the link of a digest."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.edge.relay import Relay
from tests.unit.server.push.world import ALICE, BOB, DELAY_MS, PushWorld, mail_pusher, set_pusher
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.push.endpoints_unsubscribe import ENDPOINTS


async def _form() -> AsyncIterator[bytes]:
    yield b"List-Unsubscribe=One-Click"


async def call(world: PushWorld, method: str, query: str) -> tuple[int, str]:
    (endpoint,) = (each for each in ENDPOINTS if each.method == method)
    reply = await endpoint.handler(Request(method, endpoint.path, query, stream=_form), None, world.push)
    assert isinstance(reply, Reply)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    return reply.status, reply.body.decode()


@pytest.fixture
async def query(world: PushWorld, relay: Relay) -> str:
    """What a mail that was really sent gives as its link."""
    world.mails(relay)
    await world.give_address()
    await set_pusher(world, BOB, mail_pusher())
    room = await world.public_room(BOB)
    async with world.pushing():
        await world.send(ALICE, room)
        await world.caught_up()
        await world.later(0)
        await world.later(DELAY_MS)
        mail = await relay.next_mail()
    link = str(mail["list-unsubscribe"]).strip("<>")
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    return link.partition("?")[2]


async def test_opening_the_link_ends_nothing_yet(world: PushWorld, query: str) -> None:
    status, body = await call(world, "GET", query)
    assert status == 200
    assert "<button>" in body
    assert len(await world.push.pushers.of(BOB)) == 1


async def test_the_form_ends_the_mails(world: PushWorld, query: str) -> None:
    assert (await call(world, "POST", query))[0] == 200
    assert await world.push.pushers.of(BOB) == []
    assert [each.reason for each in (await world.push.journal.of(BOB)).removals] == ["unsubscribed by mail"]
    assert (await call(world, "POST", query))[0] == 404
    assert (await call(world, "GET", query))[0] == 404


@pytest.mark.parametrize("wrong", ["", "token=", "token=nonsense"])
async def test_a_wrong_link_ends_nothing(world: PushWorld, query: str, wrong: str) -> None:
    assert (await call(world, "GET", wrong))[0] == 404
    assert (await call(world, "POST", wrong))[0] == 404
    assert len(await world.push.pushers.of(BOB)) == 1
