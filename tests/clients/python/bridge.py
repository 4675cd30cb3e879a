"""mautrix, which many bridges stand on: a bridge with its bot and a ghost, and a person who talks to them.

Played by a Python that has mautrix: `bridge.py '{"baseUrl": …, "token": …, "port": …, "as_token": …, "hs_token": …}'`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
from mautrix.appservice import AppService
from mautrix.client import Client
from mautrix.types import EventType, Format, MessageType, PaginationDirection, TextMessageEventContent

SETTINGS = json.loads(sys.argv[1])
DOMAIN = "clients.example"
GHOST = f"@irc_eve:{DOMAIN}"


async def until(what: str, ask: Callable[[], Any]) -> Any:
    """Wait until something is so."""
    for _ in range(400):
        found = ask()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"gave up waiting: {what}")


async def person() -> Client:
    """Somebody with a client of the same family, who registered with the invitation."""
    body = {"username": f"paula.{os.getpid()}", "password": "correct horse battery staple"}
    where = SETTINGS["baseUrl"] + "/_matrix/client/v3/register"
    async with aiohttp.ClientSession() as session:
        answer = await (await session.post(where, json=body)).json()
        for kind in ("m.login.registration_token", "m.login.dummy"):
            auth = {"type": kind, "token": SETTINGS["token"], "session": answer["session"]}
            answer = await (await session.post(where, json={**body, "auth": auth})).json()
    return Client(mxid=answer["user_id"], base_url=SETTINGS["baseUrl"], token=answer["access_token"])


async def main() -> None:
    """The scenario."""
    bridge = AppService(
        SETTINGS["baseUrl"],
        DOMAIN,
        SETTINGS["as_token"],
        SETTINGS["hs_token"],
        "bridge",
        id="irc",
        ephemeral_events=True,
    )
    heard: list[Any] = []

    @bridge.matrix_event_handler  # type: ignore[untyped-decorator]
    async def hear(event: Any) -> None:
        heard.append(event)

    await bridge.start("127.0.0.1", SETTINGS["port"])
    await bridge.ping_self()
    print("the bridge is reached")

    bot, ghost = bridge.intent, bridge.intent.user(GHOST)
    await bot.ensure_registered()
    await ghost.ensure_registered()
    await ghost.set_displayname("eve (IRC)")
    paula = await person()
    room_id = await bot.create_room(name="#matrix", invitees=[paula.mxid], alias_localpart=f"irc_{os.getpid()}")
    await ghost.ensure_joined(room_id)
    await paula.join_room(room_id)
    print("a portal with a ghost in it was made")

    event_id = await paula.send_text(room_id, "hello, other network")
    await until("the message", lambda: [each for each in heard if each.event_id == event_id])
    await ghost.send_message(
        room_id,
        TextMessageEventContent(msgtype=MessageType.TEXT, body="hello back", format=Format.HTML, formatted_body="<b>hello</b>"),
        timestamp=1_700_000_000_000,
    )
    seen = await paula.get_messages(room_id, direction=PaginationDirection.BACKWARD, limit=5)
    answer = next(each for each in seen.events if each.sender == GHOST and each.type == EventType.ROOM_MESSAGE)
    assert (answer.content.body, answer.timestamp) == ("hello back", 1_700_000_000_000)
    print("messages cross the bridge in both directions")

    await ghost.react(room_id, event_id, "👋")
    await ghost.mark_read(room_id, event_id)
    await paula.set_typing(room_id, timeout=5_000)
    await until(
        "typing", lambda: [each for each in heard if each.type == EventType.TYPING and paula.mxid in each.content.user_ids]
    )
    joined = await bot.get_joined_members(room_id)
    assert joined[GHOST].displayname == "eve (IRC)"
    await ghost.redact(room_id, answer.event_id)
    await paula.leave_room(room_id)
    await until("the leave", lambda: [each for each in heard if getattr(each, "state_key", None) == paula.mxid])
    print("reactions, receipts, typing and leaving cross too")
    await bridge.stop()
    await paula.api.session.close()


asyncio.run(main())
