"""Sessions on a homeserver of loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.homeserver import TOKEN, Fault, Homeserver, listening
from watchword.base.clock import SystemClock
from watchword.base.entropy import SystemEntropy
from watchword.base.errors import PeerError
from watchword.client.attachments import TamperedAttachment
from watchword.client.crypto.failures import NotPrepared, WrongRecoveryKey
from watchword.client.crypto.requests import VerificationUpdate
from watchword.client.crypto.verification import Stage
from watchword.client.events import Invitation, RoomEvent, RoomLeft, SessionEnded, SessionEvent, UndecryptableEvent
from watchword.client.session import NotSignedIn, Session
from watchword.client.wire import ClientSettings

KEY = b"k" * 32


def settings(homeserver: Homeserver, path: Path, name: str) -> ClientSettings:
    return ClientSettings(homeserver.url, path / f"{name}.db", KEY, device_name=name, sync_timeout_ms=1_000)


async def registered(homeserver: Homeserver, path: Path, user: str) -> Session:
    wanted = settings(homeserver, path, user)
    return await Session.register(wanted, user, "pw", SystemClock(), SystemEntropy(), registration_token=TOKEN)


async def signed_in(homeserver: Homeserver, path: Path, user: str, store: str) -> Session:
    return await Session.login(settings(homeserver, path, store), user, "pw", SystemClock(), SystemEntropy())


async def restored(homeserver: Homeserver, path: Path, store: str) -> Session:
    return await Session.restore(settings(homeserver, path, store), SystemClock(), SystemEntropy())


def _all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@asynccontextmanager
async def alice_and_bob(homeserver: Homeserver, path: Path) -> AsyncIterator[tuple[Session, Session, str]]:
    """Both in one encrypted room."""
    async with await registered(homeserver, path, "alice") as alice, await registered(homeserver, path, "bob") as bob:
        await asyncio.gather(alice.synced(), bob.synced())
        room_id = await alice.create_room(name="r", invite=[bob.user_id])
        await bob.wait_for(lambda event: event if isinstance(event, Invitation) else None)
        await bob.join(room_id)
        await alice.wait_for_member(room_id, bob.user_id)
        yield alice, bob, room_id


async def test_messages_go_both_ways(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        await alice.send_text(room_id, "labas rytas")
        event = await bob.wait_for_message(room_id, "labas rytas")
        assert event.encrypted
        await bob.send_text(room_id, "สวัสดี")
        await alice.wait_for_message(room_id, "สวัสดี")


async def test_the_server_sees_no_plain_text(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        await alice.send_text(room_id, "a secret sentence")
        await bob.wait_for_message(room_id, "a secret sentence")
    assert "a secret sentence" not in repr(homeserver.rooms)
    assert "a secret sentence" not in repr(homeserver.inbox)
    stored = _all_bytes(tmp_path)
    assert b"a secret sentence" not in stored
    assert b"@alice" not in stored


async def test_registration_without_a_valid_invitation_is_refused(homeserver: Homeserver, tmp_path: Path) -> None:
    wanted = settings(homeserver, tmp_path, "mallory")
    for token in (None, "guessed"):
        with pytest.raises(PeerError) as refusal:
            await Session.register(wanted, "mallory", "pw", SystemClock(), SystemEntropy(), registration_token=token)
        assert refusal.value.status == 401
    with pytest.raises(NotSignedIn):
        await restored(homeserver, tmp_path, "mallory")


async def test_a_restored_session_goes_on_where_it_was(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        await alice.send_text(room_id, "one")
        await bob.wait_for_message(room_id, "one")
        await bob.__aexit__(None, None, None)
        await alice.send_text(room_id, "two")
        async with await restored(homeserver, tmp_path, "bob") as again:
            await again.wait_for_message(room_id, "two")
            assert again.rooms.readers(room_id) == {alice.user_id, bob.user_id}
            await again.send_text(room_id, "three")
            await alice.wait_for_message(room_id, "three")
            page = await again.messages(room_id)
            assert [event.body for event in page.events if isinstance(event, RoomEvent) and event.body] == [
                "three",
                "two",
                "one",
            ]


async def test_a_second_device_is_verified_by_the_recovery_key_and_reads_what_came_before(
    homeserver: Homeserver, tmp_path: Path
) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        recovery_key = await alice.bootstrap("pw")
        assert alice.is_verified
        await bob.send_text(room_id, "before the device")
        await alice.wait_for_message(room_id, "before the device")
        await alice.settle()
        async with await signed_in(homeserver, tmp_path, "alice", "alice2") as second:
            await second.wait_for(lambda event: event if isinstance(event, UndecryptableEvent) else None)
            with pytest.raises(WrongRecoveryKey):
                await second.recover("EsTc 1234")
            verified_before = second.is_verified
            assert await second.recover(recovery_key) >= 1
            assert not verified_before
            assert second.is_verified
            await second.wait_for_message(room_id, "before the device")
            await bob.send_text(room_id, "after the device")
            await second.wait_for_message(room_id, "after the device")


async def test_a_wrong_password_does_not_replace_the_identity(homeserver: Homeserver, tmp_path: Path) -> None:
    async with await registered(homeserver, tmp_path, "alice") as alice:
        with pytest.raises(PeerError):
            await alice.bootstrap("wrong")
        assert homeserver.keys.cross_signing == {}


async def test_an_encrypted_picture_arrives(homeserver: Homeserver, tmp_path: Path) -> None:
    picture = bytes(range(256)) * 100
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        await alice.send_attachment(room_id, picture, file_name="p.png", mime_type="image/png", msgtype="m.image")
        event = await bob.wait_for_message(room_id, "p.png")
        assert await bob.download_attachment(event.content) == picture
        assert picture[:64] not in homeserver.media["m0"]
        stored = homeserver.media["m0"]
        homeserver.media["m0"] = stored[:-1] + bytes([stored[-1] ^ 1])
        with pytest.raises(TamperedAttachment):
            await bob.download_attachment(event.content)


async def test_a_member_who_left_gets_no_more_keys(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        await alice.send_text(room_id, "one")
        await bob.wait_for_message(room_id, "one")
        await bob.leave(room_id)
        await bob.wait_for(lambda event: event if isinstance(event, RoomLeft) else None)

        def gone(_: SessionEvent) -> bool | None:
            room = alice.rooms.get(room_id)
            return True if room is not None and bob.user_id not in room.members else None

        await alice.wait_for(gone)
        keys_before = len(homeserver.keys.seen_transactions)
        await alice.send_text(room_id, "two")
        assert len(homeserver.keys.seen_transactions) == keys_before
        with pytest.raises(NotPrepared):
            await bob.send_text(room_id, "three")


async def test_a_lost_answer_does_not_send_twice(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        homeserver.faults.append(Fault("/send/", 502, after=True))
        await alice.send_text(room_id, "once")
        await bob.wait_for_message(room_id, "once")
        assert sum(event["type"] == "m.room.encrypted" for event in homeserver.rooms[room_id]) == 1


async def test_a_server_that_says_when_to_come_back_is_obeyed(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, _, room_id):
        limited = {"errcode": "M_LIMIT_EXCEEDED", "error": "slow down"}
        homeserver.faults.append(Fault("/send/", 429, limited, {"Retry-After": "1"}))
        start = asyncio.get_running_loop().time()
        await alice.send_text(room_id, "later")
        assert asyncio.get_running_loop().time() - start >= 1


async def test_an_expired_token_is_refreshed_unnoticed(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        homeserver.tokens = {token: who for token, who in homeserver.tokens.items() if who[0] != alice.user_id}
        await alice.send_text(room_id, "still here")
        await bob.wait_for_message(room_id, "still here")


async def test_a_session_that_the_server_ended_says_so(homeserver: Homeserver, tmp_path: Path) -> None:
    async with await registered(homeserver, tmp_path, "alice") as alice:
        await alice.synced()
        homeserver.tokens.clear()
        homeserver.refresh_tokens.clear()
        await alice.wait_for(lambda event: event if isinstance(event, SessionEnded) else None)


async def test_a_server_that_dies_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    homeserver = Homeserver()
    async with listening(homeserver):
        port = int(homeserver.url.rpartition(":")[2])
        bob = await (await registered(homeserver, tmp_path, "bob")).__aenter__()
        alice = await (await registered(homeserver, tmp_path, "alice")).__aenter__()
        room_id = await alice.create_room(invite=[bob.user_id])
        await bob.wait_for(lambda event: event if isinstance(event, Invitation) else None)
        await bob.join(room_id)
        await alice.wait_for_member(room_id, bob.user_id)
    sending = asyncio.ensure_future(alice.send_text(room_id, "through the night"))
    await asyncio.sleep(0.3)
    async with listening(homeserver, port=port):
        await sending
        await bob.wait_for_message(room_id, "through the night", 20_000)
        await alice.__aexit__(None, None, None)
        await bob.__aexit__(None, None, None)


async def test_malformed_parts_of_a_sync_do_not_stop_it(homeserver: Homeserver, tmp_path: Path) -> None:
    async with alice_and_bob(homeserver, tmp_path) as (alice, bob, room_id):
        bad: list[Any] = [
            {"type": 5, "sender": [], "content": None},
            {"type": "m.room.encrypted", "sender": "@x:y", "content": {"algorithm": 1, "ciphertext": {}}},
            {"type": "m.room.member", "state_key": "@x:y", "sender": "@x:y", "content": {"membership": 7}},
        ]
        for number, event in enumerate(bad):
            whole = {"event_id": f"$bad{number}", "origin_server_ts": homeserver.position + 1, **event}
            homeserver.rooms[room_id].append(whole)
        homeserver.position += 1
        await bob.send_text(room_id, "after the bad ones")
        await alice.wait_for_message(room_id, "after the bad ones")


async def test_encryption_can_be_switched_on_later(homeserver: Homeserver, tmp_path: Path) -> None:
    async with await registered(homeserver, tmp_path, "alice") as alice:
        room_id = await alice.create_room(encrypted=False)
        await alice.send_text(room_id, "open")
        await alice.enable_encryption(room_id)
        await alice.send_text(room_id, "closed")
        bodies = [event["content"].get("body") for event in homeserver.rooms[room_id]]
        assert "open" in bodies
        assert "closed" not in bodies


async def test_two_devices_verify_each_other_by_comparing_a_string(homeserver: Homeserver, tmp_path: Path) -> None:
    async with await registered(homeserver, tmp_path, "alice") as first:
        await first.bootstrap("pw")
        async with await signed_in(homeserver, tmp_path, "alice", "alice2") as second:
            await asyncio.gather(first.synced(), second.synced())
            await second.settle()
            transaction_id = await second.request_verification(second.user_id)

            async def reached(session: Session, stage: Stage) -> None:
                wanted = VerificationUpdate(transaction_id, session.user_id, _other(session), stage.value)
                await session.wait_for(lambda event: True if event == wanted else None)

            def _other(session: Session) -> str:
                return first.device_id if session is second else second.device_id

            await reached(first, Stage.REQUESTED)
            await first.verification_step(transaction_id, "accept")
            await reached(second, Stage.READY)
            await second.verification_step(transaction_id, "start")
            await reached(first, Stage.COMPARING)
            await reached(second, Stage.COMPARING)
            ours, theirs = first.verification(transaction_id), second.verification(transaction_id)
            assert ours is not None
            assert theirs is not None
            assert ours.short_string == theirs.short_string
            await first.verification_step(transaction_id, "confirm")
            await second.verification_step(transaction_id, "confirm")
            async with asyncio.timeout(5):
                while not second.is_verified:  # noqa: ASYNC110 (nothing tells of it)
                    await asyncio.sleep(0.02)


async def test_logging_out_empties_the_store(homeserver: Homeserver, tmp_path: Path) -> None:
    async with await registered(homeserver, tmp_path, "alice") as alice:
        await alice.synced()
        await alice.logout()
    with pytest.raises(NotSignedIn):
        await restored(homeserver, tmp_path, "alice")
