"""What is measured, one function each. Names are what `--only` takes; their order is the order of the table.

A scenario builds what it needs outside the measurement, warms up, then repeats one operation until its time is over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bench.instance import Instance, User
from bench.keys import DeviceKeys
from bench.world import Figure, Stopwatch, World

Scenario = Callable[[World], Awaitable[None]]

_MEMBERS = 100
_KEYS = 50


async def start(world: World) -> None:
    """Start-to-first-answer time and idle memory, of a server with a data folder and of one without."""
    instance = world.new_instance("start")
    first_ms = await instance.start()
    await instance.stop()
    again_ms = await instance.start()
    cpu_ms = instance.tree.usage().cpu_ms
    await asyncio.sleep(3)
    idle = instance.tree.usage()
    await instance.stop()
    for name, took in (("start, new data folder", first_ms), ("start", again_ms)):
        world.figures.append(Figure(name, 1, cpu_ms, 1000 / took, took, took, idle.peak_bytes, 0))
    world.figures.append(Figure("idle memory", 1, 0, 0, 0, 0, idle.resident_bytes, 0))


async def send(world: World) -> None:
    """A message: one sender; eight senders in one room; eight senders in eight rooms."""
    server = await world.server()
    senders = await server.users("sender", 8)
    room = await _shared_room(senders[0], senders[1:])
    world.rooms["history"] = room
    await _warm_up(senders[0], room)
    async with world.measure("send, 1 sender", server) as watch:
        await _keep_sending(watch, senders[0], room)
    async with world.measure("send, 8 senders, 1 room", server) as watch:
        await asyncio.gather(*(_keep_sending(watch, sender, room) for sender in senders))
    own = [await sender.create_room() for sender in senders]
    for sender, its_room in zip(senders, own, strict=True):
        await sender.send(its_room)
    async with world.measure("send, 8 senders, 8 rooms", server) as watch:
        await asyncio.gather(*(_keep_sending(watch, sender, room) for sender, room in zip(senders, own, strict=True)))


async def fanout(world: World) -> None:
    """One message to a hundred members who are waiting in a long poll; each polls again at once."""
    server = await world.server()
    members, room = await _members_of_a_room(world, server)
    sender = members[0]
    arrivals: dict[str, list[float]] = {}
    arrived = asyncio.Condition()

    async def listen(member: User) -> None:
        since = (await member.sync(timeline=1)).next_batch
        ready.release()
        while True:
            synced = await member.sync(since, timeout_ms=30_000)
            since = synced.next_batch
            now = time.perf_counter()
            for text in [text for text in arrivals if synced.holds(text)]:
                arrivals[text].append(now)
            async with arrived:
                arrived.notify_all()

    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listen(member)) for member in members]
    for _ in members:
        await ready.acquire()
    await asyncio.sleep(0.5)

    async def message(watch: Stopwatch | None) -> None:
        begin = time.perf_counter()
        text = f"fan-out {begin}"
        moments = arrivals[text] = []
        await sender.send(room, text)
        async with arrived:
            await asyncio.wait_for(arrived.wait_for(lambda: len(moments) >= len(members)), 60)
        del arrivals[text]
        if watch is not None:
            watch.operations += 1
            watch.times_ms.extend((moment - begin) * 1000 for moment in moments)
        await asyncio.sleep(0.1)  # every member polls again

    try:
        await message(None)
        async with world.measure(f"fan-out to {_MEMBERS} long polls", server, most=200) as watch:
            while watch.wants_more():
                await message(watch)
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        for member in members:
            member.close()


async def sync(world: World) -> None:
    """Initial sync of many rooms, and an incremental sync with nothing in it."""
    server = await world.server()
    for count in sorted({30, world.size.rooms_of_one_user}):
        user = await server.user(f"resident{count}")
        for number in range(count):
            name = f"Room {number} of {count}"
            if name not in world.rooms:
                world.rooms[name] = await user.create_room(name=name)
                await user.send(world.rooms[name])
        since = (await user.sync()).next_batch
        async with world.measure(f"initial sync of {count} rooms", server, most=1_000) as watch:
            while watch.wants_more():
                await watch.time(user.sync())
        async with world.measure(f"empty sync in {count} rooms", server) as watch:
            while watch.wants_more():
                await watch.time(user.sync(since))


async def sliding(world: World) -> None:
    """Sliding sync: the first window of a new connection, and an increment with nothing in it; as a mobile client asks."""
    server = await world.server()
    user = await server.user("slider")
    count = max(30, world.size.rooms_of_one_user)
    for number in range(count):
        name = f"Sliding {number} of {count}"
        if name not in world.rooms:
            world.rooms[name] = await user.create_room(name=name)
            for _ in range(20 if number >= count - 20 else 1):
                await user.send(world.rooms[name])
    for limit in (1, 20):
        body = _first_window(limit)
        await user.slide(body)
        async with world.measure(f"sliding sync, first 20 rooms of {count}, {limit} events", server, most=1_000) as watch:
            while watch.wants_more():
                await watch.time(user.slide(body))
    pos = await user.slide(body)
    async with world.measure(f"sliding sync, empty, {count} rooms", server) as watch:
        while watch.wants_more():
            pos = await watch.time(user.slide(body, pos))


def _first_window(limit: int) -> dict[str, object]:
    kinds = ("name", "encryption", "power_levels", "join_rules", "topic", "tombstone", "create", "history_visibility")
    state = [*([f"m.room.{kind}", ""] for kind in kinds), ["m.room.member", "$LAZY"], ["m.room.member", "$ME"]]
    extensions = ("to_device", "e2ee", "account_data", "receipts", "typing")
    return {
        "conn_id": "room-list",
        "lists": {
            "all_rooms": {
                "ranges": [[0, 19]],
                "timeline_limit": limit,
                "required_state": state,
                "filters": {"not_room_types": ["m.space"]},
            }
        },
        "extensions": {name: {"enabled": True} for name in extensions},
    }


async def rooms(world: World) -> None:
    """Making a room, inviting, joining."""
    server = await world.server()
    alice, bob = await server.users("host", 2)
    await alice.create_room()
    made: list[str] = []
    async with world.measure("create room", server, most=300) as watch:
        while watch.wants_more():
            made.append(await watch.time(alice.create_room(name="A room")))
    async with world.measure("invite", server, most=len(made)) as watch:
        while watch.wants_more():
            await watch.time(alice.invite(made[watch.operations], bob.user_id))
    invited = watch.operations
    async with world.measure("join", server, most=invited) as watch:
        while watch.wants_more():
            await watch.time(bob.join(made[watch.operations]))


async def large(world: World) -> None:
    """A room with very many members."""
    server = await world.server()
    owner = await server.user("owner")
    if "large" not in world.rooms:
        world.rooms["large"] = await owner.create_room(preset="public_chat")
        await _fill(world, server, world.rooms["large"])
    room = world.rooms["large"]
    count = len((await owner.get(f"/rooms/{room}/joined_members"))["joined"])
    async with world.measure(f"send in a room of {count} members", server) as watch:
        await _keep_sending(watch, owner, room)
    async with world.measure(f"members of a room of {count}", server, most=200) as watch:
        while watch.wants_more():
            await watch.time(owner.get(f"/rooms/{room}/members"))
    async with world.measure(f"initial sync with a room of {count} members", server, most=200) as watch:
        while watch.wants_more():
            await watch.time(owner.sync())


async def _fill(world: World, server: Instance, room: str) -> None:
    wanted = world.size.members_of_large_room
    name = f"join a room growing to {wanted} members"
    async with world.measure(name, server, most=wanted - 1, seconds=world.size.build_seconds) as watch:
        while watch.wants_more():
            before = server.tree.usage().cpu_ms
            user = await server.user(f"member{watch.begun}")
            watch.unmeasured_cpu_ms += server.tree.usage().cpu_ms - before
            await watch.time(user.join(room))
            user.close()


async def keys(world: World) -> None:
    """Keys of a hundred devices: upload, query, claim, and a message to each."""
    server = await world.server()
    members, _ = await _members_of_a_room(world, server)
    devices = [DeviceKeys(member.user_id, member.device_id) for member in members]
    for member, device in zip(members, devices, strict=True):
        await member.post("/keys/upload", device.device())
    uploads = [device.one_time(_KEYS) for device in devices]
    async with world.measure(f"keys/upload of {_KEYS} one-time keys", server, most=len(devices)) as watch:
        while watch.wants_more():
            number = watch.operations
            await watch.time(members[number].post("/keys/upload", uploads[number]))
    asker = members[0]
    query: dict[str, dict[str, list[str]]] = {"device_keys": {member.user_id: [] for member in members}}
    async with world.measure(f"keys/query of {_MEMBERS} users", server, most=500) as watch:
        while watch.wants_more():
            await watch.time(asker.post("/keys/query", query))
    claim = {"one_time_keys": {member.user_id: {member.device_id: "signed_curve25519"} for member in members}}
    async with world.measure(f"keys/claim of {_MEMBERS} devices", server, most=_KEYS) as watch:
        while watch.wants_more():
            await watch.time(asker.post("/keys/claim", claim))
    since = {member.user_id: (await member.sync(timeline=1)).next_batch for member in members}
    content = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": "A" * 800}
    messages = {member.user_id: {member.device_id: content} for member in members}
    async with world.measure(f"to-device message to {_MEMBERS} devices", server, most=50) as watch:
        while watch.wants_more():
            await watch.time(asker.send_to_devices("m.room.encrypted", messages))
    async with world.measure("sync that brings to-device messages", server, most=_MEMBERS) as watch:
        while watch.wants_more():
            member = members[watch.operations]
            await watch.time(member.sync(since[member.user_id]))
    for member in members:
        member.close()


async def history(world: World) -> None:
    """Walking back through a room, a hundred events a page."""
    server = await world.server()
    reader = await server.user("sender0")
    if "history" not in world.rooms:
        world.rooms["history"] = await reader.create_room()
        for _ in range(300):
            await reader.send(world.rooms["history"])
    room = world.rooms["history"]
    async with world.measure("back-pagination, 100 events a page", server, most=500) as watch:
        token = ""
        while watch.wants_more():
            page = await watch.time(reader.get(f"/rooms/{room}/messages?dir=b&limit=100{token}"))
            token = f"&from={page['end']}" if page.get("end") else ""


async def federation(world: World) -> None:
    """A message to a user of another server, until it is in that user's sync; the cost of both servers together."""
    here, there = await world.server(), await world.server("second")
    alice, bob = await here.user("alice"), await there.user("bob")
    room = await alice.create_room()
    await alice.invite(room, bob.user_id)
    await bob.join(room, via=here.site.server_name)
    since = (await bob.sync(timeline=1)).next_batch

    async def across(senders: Sequence[User]) -> None:
        nonlocal since
        missing = {f"across {time.perf_counter()} {number}" for number in range(len(senders))}
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for sender, text in zip(senders, tuple(missing), strict=True):
                group.create_task(sender.send(room, text))
            while missing:
                synced = await bob.sync(since, timeout_ms=30_000)
                since = synced.next_batch
                missing = {text for text in missing if not synced.holds(text)}

    for _ in range(3):
        await across([alice])
    async with world.measure("federation send to remote receipt", here, there, most=500) as watch:
        while watch.wants_more():
            await watch.time(across([alice]))
    crew = await here.users("crew", 8)
    for member in crew:
        await alice.invite(room, member.user_id)
        await member.join(room)
    await asyncio.sleep(1)
    async with world.measure("federation, 8 messages at once", here, there, most=200) as watch:
        while watch.wants_more():
            await watch.time(across(crew))


async def _keep_sending(watch: Stopwatch, sender: User, room: str) -> None:
    while watch.wants_more():
        await watch.time(sender.send(room))


async def _warm_up(sender: User, room: str) -> None:
    for _ in range(10):
        await sender.send(room)


async def _shared_room(owner: User, others: list[User]) -> str:
    room = await owner.create_room(preset="public_chat")
    for other in others:
        await other.join(room)
    return room


async def _members_of_a_room(world: World, server: Instance) -> tuple[list[User], str]:
    members = await server.users("guest", _MEMBERS)
    if "members" not in world.rooms:
        world.rooms["members"] = await _shared_room(members[0], members[1:])
    return members, world.rooms["members"]


SCENARIOS: Mapping[str, Scenario] = {
    "start": start,
    "send": send,
    "fanout": fanout,
    "sync": sync,
    "sliding": sliding,
    "rooms": rooms,
    "large": large,
    "keys": keys,
    "history": history,
    "federation": federation,
}
