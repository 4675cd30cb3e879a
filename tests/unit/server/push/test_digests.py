"""From what is unread to the mail that tells of it, by way of a relay that is really there."""

import pytest

from tests.unit.edge.relay import Relay, text_of
from tests.unit.server.push.world import ALICE, BOB, DELAY_MS, MAIL, PHONE, PushWorld, mail_pusher, set_pusher
from tests.unit.server.rooms.world import CAROL
from watchword.base import limits
from watchword.protocol.default_push_rules import predefined
from watchword.protocol.ids import EventId, RoomId
from watchword.server.changes import DeviceDeleted
from watchword.server.push.commands import DigestSettings, PushSettings


@pytest.fixture
async def mailing(world: PushWorld, relay: Relay) -> PushWorld:
    """BOB gets mails."""
    world.mails(relay)
    await world.give_address()
    await set_pusher(world, BOB, mail_pusher())
    return world


async def say(world: PushWorld, room: RoomId, text: str = "hello") -> EventId:
    event = await world.send(ALICE, room, text)
    await world.caught_up()
    await world.later(0)
    return event


async def wait(world: PushWorld, milliseconds: int) -> None:
    """Let time pass in steps: each mail and each attempt begins with the last one's end."""
    await world.caught_up()
    await world.later(0)
    await world.later(milliseconds)
    await world.later(0)


async def test_what_is_unread_for_a_while_is_mailed(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB, name="The room")
    async with mailing.pushing():
        await say(mailing, room, "secret")
        await say(mailing, room, "words")
        await wait(mailing, DELAY_MS - 1)
        assert relay.mails == []
        await wait(mailing, 1)
        mail = await relay.next_mail()
        await mailing.later(0)
    assert relay.recipients == [[MAIL]]
    assert mail["subject"] == "2 unread messages at here.example"
    assert "The room: 2 unread" in text_of(mail)
    assert "secret" not in str(mail)
    (story,) = (await mailing.push.journal.of(BOB)).pushers
    assert [entry.outcome for entry in story.entries] == ["mailed"]


async def test_what_is_read_in_time_is_not_mailed(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        event = await say(mailing, room)
        await wait(mailing, DELAY_MS // 2)
        await mailing.read(BOB, room, event)
        await wait(mailing, 3 * DELAY_MS)
    assert relay.mails == []


async def test_who_reads_something_has_the_whole_delay_for_the_rest(mailing: PushWorld, relay: Relay) -> None:
    rooms = await mailing.two_rooms(BOB)
    async with mailing.pushing():
        event = await say(mailing, rooms[0])
        await say(mailing, rooms[1])
        await wait(mailing, DELAY_MS - 1)
        await mailing.read(BOB, rooms[0], event)
        await wait(mailing, DELAY_MS - 1)
        assert relay.mails == []
        await wait(mailing, 1)
        assert (await relay.next_mail())["subject"] == "1 unread message at here.example"


async def test_the_gaps_grow_until_something_is_read(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
        await wait(mailing, DELAY_MS)
        await relay.next_mail()
        last = await say(mailing, room)
        await wait(mailing, 6 * DELAY_MS - 1_000)
        assert len(relay.mails) == 1
        await wait(mailing, 1_000)
        await relay.next_mail(2)
        await mailing.read(BOB, room, last)
        await say(mailing, room)
        await wait(mailing, DELAY_MS)
        assert (await relay.next_mail(3))["subject"] == "1 unread message at here.example"


async def test_nothing_is_mailed_twice(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
        await wait(mailing, DELAY_MS)
        await relay.next_mail()
        await wait(mailing, 10 * limits.digest_gap_ms_max)
        assert len(relay.mails) == 1


async def test_a_digest_survives_a_restart(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
    mailing.rebuild_push()
    async with mailing.pushing():
        await wait(mailing, DELAY_MS)
        await relay.next_mail()
    mailing.rebuild_push()
    async with mailing.pushing():
        await wait(mailing, 10 * DELAY_MS)
    assert len(relay.mails) == 1


async def test_texts_are_quoted_where_the_operator_wants_it_but_not_from_encrypted_rooms(
    world: PushWorld, relay: Relay
) -> None:
    world.mails(relay, bodies=True)
    await world.give_address()
    await set_pusher(world, BOB, mail_pusher())
    state = [{"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
    open_room = await world.public_room(BOB, name="Open")
    world.clock.advance(1)
    closed = await world.public_room(BOB, name="Closed", initial_state=state)
    async with world.pushing():
        await say(world, open_room, "a <b>word</b>")
        await say(world, closed, "hidden")
        await wait(world, DELAY_MS)
        mail = await relay.next_mail()
    assert "@alice:here.example: a <b>word</b>" in text_of(mail)
    html = mail.get_body(("html",))
    assert html is not None
    assert "a &lt;b&gt;word&lt;/b&gt;" in html.get_content()
    assert "hidden" not in mail.as_string()


async def test_an_invitation_is_mailed_without_its_name(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.room(ALICE, name="Buy this")
    async with mailing.pushing():
        await mailing.invite(ALICE, room, BOB)
        await wait(mailing, DELAY_MS)
        mail = await relay.next_mail()
    assert mail["subject"] == "An invitation at here.example"
    assert "1 invitation waiting" in text_of(mail)
    assert "Buy this" not in mail.as_string()


async def test_an_address_that_is_gone_gets_no_mail_and_its_pusher_goes_too(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
        async with mailing.database.write() as tx:
            await tx.execute("DELETE FROM threepids WHERE user_id = ?", BOB)
        await wait(mailing, DELAY_MS)
        assert await mailing.push.pushers.of(BOB) == []
        await wait(mailing, DELAY_MS)
    assert relay.mails == []
    assert [each.reason for each in (await mailing.push.journal.of(BOB)).removals] == ["the address is no longer the account's"]


async def test_a_pusher_that_is_switched_off_mails_nothing(mailing: PushWorld, relay: Relay) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
        await set_pusher(mailing, BOB, mail_pusher() | {"org.matrix.msc3881.enabled": False})
        await wait(mailing, DELAY_MS)
        assert relay.mails == []
        await set_pusher(mailing, BOB, mail_pusher() | {"org.matrix.msc3881.enabled": True})
        await wait(mailing, DELAY_MS)
        assert relay.mails == []
        await say(mailing, room)
        await wait(mailing, 2 * DELAY_MS)
        await relay.next_mail()


async def test_a_mail_pusher_outlives_the_session_that_made_it(mailing: PushWorld) -> None:
    async with mailing.pushing():
        async with mailing.database.write() as tx:
            await mailing.log.append(tx, DeviceDeleted(BOB, PHONE))
        await mailing.caught_up()
        assert len(await mailing.push.pushers.of(BOB)) == 1


async def test_a_full_mailbox_is_tried_again(mailing: PushWorld, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
        with monkeypatch.context() as patched:
            patched.setattr(limits, "mails_waiting_max", 0)
            await wait(mailing, DELAY_MS)
        assert relay.mails == []
        await wait(mailing, limits.digest_retry_ms)
        await relay.next_mail()


async def test_a_mail_that_cannot_be_written_does_not_stop_the_others(
    mailing: PushWorld, relay: Relay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = await mailing.public_room(BOB)
    async with mailing.pushing():
        await say(mailing, room)
        with monkeypatch.context() as patched:
            patched.setattr(limits, "digest_rooms_max", None)
            await wait(mailing, DELAY_MS)
        assert "A digest was not mailed." in [record.message for record in caplog.records]
        await wait(mailing, limits.digest_retry_ms)
        await relay.next_mail()


async def test_what_only_wakes_devices_is_not_mailed(world: PushWorld, relay: Relay) -> None:
    world.mails(relay)
    settings = DigestSettings("here.example", "https://here.example", DELAY_MS)
    world.push_settings = PushSettings(predefined(encrypted_events=True), plain_http=True, digests=settings)
    world.rebuild_push()
    await world.give_address()
    await set_pusher(world, BOB, mail_pusher())
    room = await world.public_room(BOB, CAROL)
    async with world.pushing():
        await world.ask(ALICE, "PUT", f"rooms/{room}/send/m.room.encrypted/t", {"algorithm": "m.megolm.v1.aes-sha2"})
        await wait(world, DELAY_MS)
        assert await world.unread(BOB, room) == (1, 0)
        await say(world, room, "in the open")
        await wait(world, DELAY_MS)
        await relay.next_mail()
    assert len(relay.mails) == 1


async def test_what_came_before_there_was_a_pusher_is_not_mailed(world: PushWorld, relay: Relay) -> None:
    world.mails(relay)
    await world.give_address()
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    await set_pusher(world, BOB, mail_pusher())
    async with world.pushing():
        await wait(world, 2 * DELAY_MS)
    assert relay.mails == []
