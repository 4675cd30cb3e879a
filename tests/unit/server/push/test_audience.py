import orjson

from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, pusher, set_pusher
from tests.unit.server.rooms.world import CAROL, EVE
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.changes import EventAppended, OutOfBandMembership
from watchword.server.push.askers import Askers
from watchword.server.push.audience import Audience
from watchword.server.push.commands import Subject
from watchword.server.push.compose import Composer
from watchword.server.push.noted import NotedEvents
from watchword.server.push.sender import Notice
from watchword.server.push.threads import SubscribedThreads
from watchword.server.rooms.commands import SendEvent
from watchword.storage import Position

FAR = RoomId("!room:there.example")
INVITE = EventId("$invite")


def audience(world: PushWorld) -> Audience:
    composer = Composer(world.reader, world.push.unread)
    events = NotedEvents(world.reader)
    askers = Askers(world.reader, world.push.rules, events, SubscribedThreads(world.relations.subscriptions, world.log))
    return Audience(world.reader, world.accounts.reader, askers, events, composer)


async def told(world: PushWorld, *users: UserId) -> list[tuple[UserId, Notice]]:
    """Who is told of the newest event."""
    logged = (await world.log.read(Position(world.log.position - 1), 1))[0]
    assert isinstance(logged.change, EventAppended)
    return await audience(world).of_event(logged.position, logged.change, set(users))


async def subject_of(notices: list[tuple[UserId, Notice]]) -> Subject | None:
    assert notices[0][1].subject is not None
    return await notices[0][1].subject()


async def test_members_are_told_but_not_the_sender(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    assert [user_id for user_id, _ in await told(world, ALICE, BOB, CAROL)] == [BOB]
    assert await told(world, ALICE, CAROL) == []


async def test_who_ignores_the_sender_is_not_told(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {ALICE: {}}})
    await world.send(ALICE, room)
    assert await told(world, BOB) == []


async def test_rules_decide(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"pushrules/global/room/{room}", {"actions": []})
    await world.send(ALICE, room)
    assert await told(world, BOB) == []


async def test_a_rule_may_ask_for_the_display_name(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    rule = {"actions": [], "conditions": [{"kind": "contains_display_name"}]}
    await world.ask(BOB, "PUT", "pushrules/global/override/name", rule)
    await world.send(ALICE, room, "Dear bob")
    member = (await world.at(room)).state["m.room.member", BOB]
    named = (await world.reader.found([member]))[member].pdu.content.get("displayname")
    assert bool(await told(world, BOB)) is (named is None)


async def test_an_invite_is_told_to_whom_it_concerns(world: PushWorld) -> None:
    room = await world.room(ALICE, name="Room")
    await world.invite(ALICE, room, BOB)
    notices = await told(world, BOB, CAROL)
    assert [user_id for user_id, _ in notices] == [BOB]
    subject = await subject_of(notices)
    assert subject is not None
    assert subject.user_is_target
    assert subject.room_name == "Room"


async def test_nothing_is_said_of_what_was_redacted_meanwhile(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    event = await world.send(ALICE, room)
    notices = await told(world, BOB)
    assert await subject_of(notices) is not None
    await world.writer.send(SendEvent(room, ALICE, "m.room.redaction", {"redacts": event}, redacts=event))
    assert await subject_of(notices) is None


async def test_nothing_is_said_to_who_has_read_or_gone(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    event = await world.send(ALICE, room)
    notices = await told(world, BOB)
    await world.read(BOB, room, event)
    assert await subject_of(notices) is None
    await world.leave(BOB, room)
    assert await subject_of(notices) is None


async def test_a_redacted_event_is_told_to_nobody(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    event = await world.send(ALICE, room)
    logged = (await world.log.read(Position(world.log.position - 1), 1))[0]
    await world.writer.send(SendEvent(room, ALICE, "m.room.redaction", {"redacts": event}, redacts=event))
    assert isinstance(logged.change, EventAppended)
    assert await audience(world).of_event(logged.position, logged.change, {BOB}) == []


async def test_an_event_of_a_room_that_is_not_here_is_told_to_nobody(world: PushWorld) -> None:
    change = EventAppended(FAR, INVITE, "m.room.message", None, EVE, False)
    assert await audience(world).of_event(Position(1), change, {BOB}) == []


async def invited_from_afar(world: PushWorld) -> OutOfBandMembership:
    """BOB has an invite to a room that this server is not in."""
    stripped = [
        {"type": "m.room.name", "state_key": "", "sender": EVE, "content": {"name": "Far"}},
        {"type": "m.room.member", "state_key": EVE, "sender": EVE, "content": {"membership": "join", "displayname": "Eve"}},
        {"type": "m.room.member", "state_key": BOB, "sender": EVE, "content": {"membership": "invite", "is_direct": True}},
    ]
    change = OutOfBandMembership(FAR, BOB, "invite", INVITE)
    async with world.database.write() as tx:
        room_nid, user_nid = await world.names.number(tx, FAR), await world.names.number(tx, BOB)
        position = await world.log.append(tx, change)
        await tx.execute(
            "INSERT INTO memberships (room_nid, user_nid, membership, event_id, position, sender, is_local, stripped) "
            "VALUES (?, ?, 'invite', ?, ?, ?, 1, ?)",
            room_nid,
            user_nid,
            INVITE,
            position,
            EVE,
            orjson.dumps(stripped),
        )
        tx.after_commit(lambda: world.memberships.forget(BOB))
    return change


async def test_an_invite_from_afar_is_told_with_what_came_with_it(world: PushWorld, gateway: Gateway) -> None:
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        await invited_from_afar(world)
        told = (await gateway.hears(1))[0]
    assert told["event_id"] == INVITE
    assert (told["room_name"], told["sender_display_name"], told["user_is_target"]) == ("Far", "Eve", True)
    assert told["content"] == {"membership": "invite", "is_direct": True}
    assert told["counts"] == {"unread": 1}


async def test_an_invite_from_afar_asks_the_rules_and_the_ignored(world: PushWorld) -> None:
    change = await invited_from_afar(world)
    assert await audience(world).of_invite(Position(1), change) is not None
    await world.ask(BOB, "PUT", "pushrules/global/override/.m.rule.invite_for_me/enabled", {"enabled": False})
    assert await audience(world).of_invite(Position(1), change) is None
    await world.ask(BOB, "PUT", "pushrules/global/override/.m.rule.invite_for_me/enabled", {"enabled": True})
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {EVE: {}}})
    assert await audience(world).of_invite(Position(1), change) is None


async def test_an_invite_that_is_over_is_not_told(world: PushWorld) -> None:
    change = OutOfBandMembership(FAR, BOB, "invite", INVITE)
    assert await audience(world).of_invite(Position(1), change) is None
