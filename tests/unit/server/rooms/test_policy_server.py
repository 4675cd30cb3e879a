"""Three servers: two with people, and one that judges what they say."""

import asyncio
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from watchword.base.errors import Forbidden, LimitExceeded, PeerError, Refusal
from watchword.protocol.ids import RoomId, ServerName
from watchword.protocol.policy_servers import KEY_ID, PolicyServer, policy_server_of
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import SigningKey, sign_event, signatures_of
from watchword.server.rooms.commands import ChangeMembership, SendEvent, Transaction, UpgradeRoom

KEY = SigningKey(b"p" * 32, "policy_server")
POLICY = "m.room.policy"


class Judge:
    """A policy server: signs everything that does not say what it does not like."""

    def __init__(self, name: ServerName, version: str = "12") -> None:
        self.name = name
        self.version = ROOM_VERSIONS[version]
        self.asked: list[dict[str, Any]] = []
        self.thinking = 0
        self.error: PeerError | None = None
        self.dislikes = "spam"
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(event)
        self.thinking += 1
        await self.open.wait()
        self.thinking -= 1
        if self.error is not None:
            raise self.error
        if self.dislikes in str(event["content"]):
            body = {"errcode": "M_FORBIDDEN", "error": "No spam here, please."}
            raise PeerError(self.name, "it refused", status=400, errcode="M_FORBIDDEN", body=body)
        signed = sign_event(event, self.version, self.name, KEY)
        return {self.name: {KEY_ID: signatures_of(signed, self.name)[KEY_ID]}}

    async def has_been_asked(self, times: int) -> None:
        """Wait until it thinks about so many events."""
        for _ in range(5_000):
            if self.thinking >= times:
                return
            await asyncio.sleep(0)
        raise AssertionError("nobody asks")

    @property
    def content(self) -> dict[str, Any]:
        return {"via": self.name, "public_keys": {"ed25519": KEY.verify_key.to_base64()}}


@pytest.fixture
def judge(network: Network, c: Stack) -> Judge:
    made = network.policies[c.name] = Judge(c.name)
    assert isinstance(made, Judge)
    return made


async def guarded_room(a: Stack, c: Stack, judge: Judge, network: Network, version: str = "12") -> RoomId:
    room_id = await a.create(version=version)
    await c.join(room_id, "carol", a)
    await a.send(room_id, POLICY, judge.content, "")
    await network.settle()
    return room_id


def the_server(judge: Judge) -> PolicyServer:
    server = policy_server_of(POLICY, judge.content)
    assert server is not None
    return server


async def test_what_is_sent_carries_the_policy_servers_signature(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    event_id = await a.say(room_id, "hello")
    stored = await a.stored(event_id)
    assert stored is not None
    assert the_server(judge).has_signed(stored.pdu.json, judge.version)
    assert stored.pdu.json["signatures"].keys() == {a.name, c.name}
    await network.settle()
    assert await c.bodies(room_id, "carol") == ["hello"]


async def test_its_refusal_reaches_whoever_sends_word_for_word(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    with pytest.raises(Forbidden) as refused:
        await a.say(room_id, "spam")
    assert refused.value.text == "No spam here, please."
    assert await a.bodies(room_id, "alice") == []
    await a.say(room_id, "hello")
    assert await a.bodies(room_id, "alice") == ["hello"]


async def test_the_policy_server_is_not_asked_about_itself(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    judge.asked.clear()
    judge.error = PeerError(c.name, "it is silent")
    await a.send(room_id, POLICY, {}, "")
    assert judge.asked == []
    await a.say(room_id, "hello")
    assert judge.asked == []


async def test_a_policy_server_with_nobody_in_the_room_is_not_in_use(a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await a.create()
    await a.send(room_id, POLICY, judge.content, "")
    await a.say(room_id, "spam")
    assert judge.asked == []


async def test_a_room_read_back_from_the_disk_still_has_it(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    await a.restarted()
    with pytest.raises(Forbidden):
        await a.say(room_id, "spam")


async def test_the_old_name_is_asked_in_the_old_way(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await a.create()
    await c.join(room_id, "carol", a)
    await a.send(room_id, "org.matrix.msc4284.policy", {"via": c.name, "public_key": KEY.verify_key.to_base64()}, "")
    server = (await a.room(room_id)).policy_server
    assert server is not None
    assert server.is_unstable
    await a.say(room_id, "hello")
    assert judge.asked


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (PeerError("c.example", "silent"), Refusal, 503),
        (PeerError("c.example", "unknown", status=404, errcode="M_NOT_FOUND"), Refusal, 503),
        (PeerError("c.example", "slow down", status=429, retry_after_ms=2_000), LimitExceeded, 429),
        (PeerError("c.example", "no", status=403, errcode="M_FORBIDDEN", body={"error": 5}), Forbidden, 403),
    ],
)
async def test_without_its_signature_nothing_is_sent(
    network: Network, a: Stack, c: Stack, judge: Judge, error: PeerError, kind: type[Refusal], status: int
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    judge.error = error
    with pytest.raises(kind) as refused:
        await a.say(room_id, "hello")
    assert refused.value.status == status
    assert await a.bodies(room_id, "alice") == []


async def test_an_answer_with_a_wrong_signature_counts_as_none(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)

    async def forged(event: dict[str, Any]) -> dict[str, Any]:
        return {c.name: {KEY_ID: "A" * 86}}

    network.policies[c.name] = forged
    with pytest.raises(Refusal) as refused:
        await a.say(room_id, "hello")
    assert refused.value.status == 503


async def test_whoever_leaves_need_not_wait_for_a_silent_policy_server(
    network: Network, a: Stack, c: Stack, judge: Judge
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    await a.join(room_id, "anna")
    judge.error = PeerError(c.name, "it is silent")
    await a.change(room_id, "leave", a.user("anna"), "anna")
    assert await a.membership(room_id, a.user("anna")) == "leave"


async def test_an_event_that_arrives_unsigned_is_shown_once_it_is_signed(
    network: Network, a: Stack, b: Stack, c: Stack, judge: Judge
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    await b.join(room_id, "bob", a)
    await network.settle()
    raw = await b.crafted(room_id, b.user("bob"), {"msgtype": "m.text", "body": "from afar"})
    assert list((await a.receive(b, [raw])).values()) == [None]
    assert await a.bodies(room_id, "alice") == ["from afar"]
    (stored,) = [event for event in (await a.room(room_id)).recent if event.pdu.content.get("body") == "from afar"]
    assert the_server(judge).has_signed(stored.pdu.json, judge.version)


async def test_what_the_policy_server_does_not_want_is_kept_and_not_shown(
    network: Network, a: Stack, b: Stack, c: Stack, judge: Judge
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    await b.join(room_id, "bob", a)
    await network.settle()
    raw = await b.crafted(room_id, b.user("bob"), {"msgtype": "m.text", "body": "spam"})
    assert list((await a.receive(b, [raw])).values()) == [None]
    assert await a.bodies(room_id, "alice") == []
    asked = len(judge.asked)
    await a.receive(b, [raw])
    assert len(judge.asked) == asked


async def test_a_signed_event_is_not_asked_about_again(network: Network, a: Stack, b: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    await b.join(room_id, "bob", a)
    await network.settle()
    await b.say(room_id, "hello", "bob")
    asked = len(judge.asked)
    await network.settle()
    assert len(judge.asked) == asked
    assert await a.bodies(room_id, "alice") == ["hello"]


async def test_a_join_by_way_of_a_resident_server_is_judged_there(
    network: Network, a: Stack, b: Stack, c: Stack, judge: Judge
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    judge.dislikes = "join"
    with pytest.raises(Forbidden):
        await b.join(room_id, "bob", a)
    judge.dislikes = "spam"
    await b.join(room_id, "bob", a)
    assert await a.membership(room_id, b.user("bob")) == "join"


async def test_an_invite_to_another_server_is_judged_before_it_leaves(
    network: Network, a: Stack, b: Stack, c: Stack, judge: Judge
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    judge.dislikes = "invite"
    with pytest.raises(Forbidden):
        await a.change(room_id, "invite", b.user("bob"))
    assert await b.membership(room_id, b.user("bob")) is None
    judge.dislikes = "spam"
    await a.change(room_id, "invite", b.user("bob"))
    assert await b.membership(room_id, b.user("bob")) == "invite"


async def test_the_room_is_free_while_the_policy_server_thinks(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    judge.open.clear()
    sending = [asyncio.ensure_future(a.say(room_id, f"message {number}")) for number in range(20)]
    await judge.has_been_asked(8)
    assert not (await a.room(room_id)).lock.locked()
    raw = await c.crafted(room_id, c.user("carol"), {"msgtype": "m.text", "body": "meanwhile"})
    signed = sign_event(raw, judge.version, c.name, KEY)
    await a.receive(c, [signed])
    assert await a.bodies(room_id, "alice") == ["meanwhile"]
    judge.open.set()
    await asyncio.gather(*sending)
    assert sorted(await a.bodies(room_id, "alice")) == sorted(["meanwhile", *(f"message {number}" for number in range(20))])
    await network.settle()
    assert len(await c.bodies(room_id, "carol")) == 21


async def test_a_repeated_request_makes_one_event(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    transaction = Transaction(a.user("alice"), "PHONE", "send", "1")
    command = SendEvent(room_id, a.user("alice"), "m.room.message", {"body": "once"}, transaction=transaction)
    first, second = await asyncio.gather(a.rooms.writer.send(command), a.rooms.writer.send(command))
    assert first == second == await a.rooms.writer.send(command)
    assert await a.bodies(room_id, "alice") == ["once"]


async def test_a_room_that_changes_while_the_policy_server_thinks_may_refuse(
    network: Network, a: Stack, c: Stack, judge: Judge
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    await a.join(room_id, "anna")
    judge.open.clear()
    sending = asyncio.ensure_future(a.say(room_id, "too late", "anna"))
    await judge.has_been_asked(1)
    judge.open.set()
    kick = ChangeMembership(room_id, a.user("alice"), a.user("anna"), "ban")
    judge.open.clear()
    banning = asyncio.ensure_future(a.rooms.writer.change_membership(kick))
    await asyncio.sleep(0.01)
    judge.open.set()
    await asyncio.gather(sending, banning, return_exceptions=True)
    assert await a.membership(room_id, a.user("anna")) == "ban"


@pytest.mark.parametrize("version", ["11", "12"])
async def test_a_guarded_room_is_replaced_with_the_policy_servers_leave(
    network: Network, a: Stack, c: Stack, judge: Judge, version: str
) -> None:
    room_id = await guarded_room(a, c, judge, network)
    new_id = await a.rooms.doors.upgrader.upgrade(UpgradeRoom(room_id, a.user("alice"), version))
    state = await a.state(room_id)
    tombstone = await a.stored(state[("m.room.tombstone", "")])
    assert tombstone is not None
    assert tombstone.pdu.content["replacement_room"] == new_id
    assert the_server(judge).has_signed(tombstone.pdu.json, judge.version)


async def test_a_policy_server_may_refuse_that_a_room_is_replaced(network: Network, a: Stack, c: Stack, judge: Judge) -> None:
    room_id = await guarded_room(a, c, judge, network)
    judge.dislikes = "replacement_room"
    with pytest.raises(Forbidden):
        await a.rooms.doors.upgrader.upgrade(UpgradeRoom(room_id, a.user("alice"), "12"))
    assert ("m.room.tombstone", "") not in await a.state(room_id)
