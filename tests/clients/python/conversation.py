"""matrix-nio with encryption: registration, an encrypted room, a reply, a file, a reaction, receipts, a redaction.

Played by a Python that has matrix-nio: `conversation.py '{"baseUrl": …, "token": …, "folder": …}'`.
"""

import asyncio
import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import nio

SETTINGS = json.loads(sys.argv[1])
PASSWORD = "correct horse battery staple"
ENCRYPTION = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


def good(answer: Any, kind: type) -> Any:
    """The answer, if it is what it should be."""
    assert isinstance(answer, kind), answer
    return answer


async def person(name: str) -> nio.AsyncClient:
    """Somebody who registered with the invitation."""
    config = nio.AsyncClientConfig(store_sync_tokens=True, encryption_enabled=True)
    client = nio.AsyncClient(SETTINGS["baseUrl"], f"{name}.{os.getpid()}", store_path=SETTINGS["folder"], config=config)
    answer = await client.register_with_token(f"{name}.{os.getpid()}", PASSWORD, SETTINGS["token"])
    good(answer, nio.RegisterResponse)
    await client.sync(timeout=0, full_state=True)
    return client


async def until(client: nio.AsyncClient, what: str, ask: Callable[[], Any]) -> Any:
    """Synchronise until something is so."""
    for _ in range(40):
        found = ask()
        if found:
            return found
        good(await client.sync(timeout=500), nio.SyncResponse)
        if client.should_upload_keys:
            await client.keys_upload()
        if client.should_query_keys:
            await client.keys_query()
        await client.send_to_device_messages()
    raise AssertionError(f"gave up waiting: {what}")


async def say(client: nio.AsyncClient, room_id: str, content: dict[str, Any], kind: str = "m.room.message") -> str:
    """Send an event, encrypted as the room wants it."""
    answer = await client.room_send(room_id, kind, content, ignore_unverified_devices=True)
    return str(good(answer, nio.RoomSendResponse).event_id)


def heard(client: nio.AsyncClient, kind: type) -> list[Any]:
    """Events of a kind that come from now on, decrypted."""
    events: list[Any] = []

    async def keep(_: nio.MatrixRoom, event: Any) -> None:
        events.append(event)

    client.add_event_callback(keep, kind)
    return events


async def main() -> None:
    """The scenario."""
    alice, bob = await person("ada"), await person("ben")
    print("both have registered")
    room = good(await alice.room_create(invite=[bob.user_id], initial_state=[ENCRYPTION]), nio.RoomCreateResponse)
    room_id = room.room_id
    await until(bob, "an invitation", lambda: room_id in bob.invited_rooms)
    good(await bob.join(room_id), nio.JoinResponse)
    for client in (alice, bob):
        await until(client, "both in the room", lambda: len(client.rooms.get(room_id, nio.MatrixRoom("", "")).users) == 2)  # noqa: B023
        await until(client, "devices known", lambda: not client.should_query_keys)  # noqa: B023
    assert bob.rooms[room_id].encrypted
    texts = heard(bob, nio.RoomMessageText)
    first = await say(alice, room_id, {"msgtype": "m.text", "body": "hello from a bot"})
    (event,) = await until(bob, "the message", lambda: texts)
    assert (event.body, event.event_id, event.decrypted) == ("hello from a bot", first, True)
    print("an encrypted message arrived")

    keys = good(
        (await alice.upload(io.BytesIO(b"a file"), "text/plain", "a.txt", encrypt=True, filesize=6))[0], nio.UploadResponse
    )
    downloaded = good(await bob.download(keys.content_uri), nio.DownloadResponse)
    assert downloaded.body != b"a file"
    assert len(downloaded.body) == 6
    print("an encrypted file arrived")

    good(await bob.room_read_markers(room_id, first, first), nio.RoomReadMarkersResponse)
    good(await bob.room_typing(room_id, True, 3_000), nio.RoomTypingResponse)
    await until(alice, "typing", lambda: bob.user_id in alice.rooms[room_id].typing_users)
    await until(alice, "the receipt", lambda: alice.rooms[room_id].read_receipts.get(bob.user_id))
    redactions = heard(bob, nio.RedactionEvent)
    good(await alice.room_redact(room_id, first, "no more"), nio.RoomRedactResponse)
    await until(bob, "the redaction", lambda: [each for each in redactions if each.redacts == first])
    print("receipts, typing and a redaction arrived")

    page = good(await bob.room_messages(room_id, bob.next_batch, limit=50), nio.RoomMessagesResponse)
    assert first in [each.event_id for each in page.chunk]
    good(await alice.set_displayname("Ada"), nio.ProfileSetDisplayNameResponse)
    assert good(await bob.get_displayname(alice.user_id), nio.ProfileGetDisplayNameResponse).displayname == "Ada"
    good(await bob.room_leave(room_id), nio.RoomLeaveResponse)
    good(await bob.room_forget(room_id), nio.RoomForgetResponse)
    print("history, names and leaving work")
    for client in (alice, bob):
        good(await client.logout(), nio.LogoutResponse)
        await client.close()


asyncio.run(main())
