"""`watchword demo`: see two organisations talk, end to end encrypted, across servers, through a crash."""

import asyncio
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import click

from watchword.base.clock import Clock, SystemClock
from watchword.base.entropy import Entropy, SystemEntropy
from watchword.cli.demonstration.servers import DemoFailed, DemoServer
from watchword.cli.demonstration.story import Person, Story, invitation_to

_PASSWORD_BYTES = 15


@click.command()
@click.option("--keep", is_flag=True, help="Leave the servers running and say how to log in with any Matrix client.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept. Default: a temporary folder, removed at the end unless --keep.",
)
def demo(keep: bool, folder: Path | None) -> None:
    """Start two servers on loopback and show the main job end to end; exit status 0 only if every step held."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty: choose a new folder.")
    place = Path(tempfile.mkdtemp(prefix="watchword-demo-")) if folder is None else folder
    place.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(_run(Story(place.resolve(), SystemClock(), SystemEntropy()), keep=keep))
    except DemoFailed as error:
        click.echo(f"  ✗ {error}", err=True)
        click.echo(f"The demonstration failed. Everything is kept in {place}.", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Stopped.")
        sys.exit(130)
    if folder is None:
        shutil.rmtree(place, ignore_errors=True)


async def _run(story: Story, *, keep: bool) -> None:
    clock: Clock = story.clock
    began_ms = clock.monotonic_ms()
    click.echo("Two organisations, each on its own server, talk:")
    async with AsyncExitStack() as stack:
        newsroom, relief = await story.step(
            "Certificate authority and two servers",
            story.start_servers,
            lambda servers: (
                " and ".join(f"{server.server_name} answers at {server.base_url}" for server in servers) + "; federation by TLS"
            ),
        )
        for server in (newsroom, relief):
            stack.push_async_callback(server.stop)
        alice, bob = await _plot(story, stack, newsroom, relief)
        seconds = (clock.monotonic_ms() - began_ms) / 1000
        click.echo(f"All {story.steps} steps held, in {seconds:.0f} s.")
        if keep:
            await _keep(newsroom, relief, alice, bob)


async def _plot(story: Story, stack: AsyncExitStack, newsroom: DemoServer, relief: DemoServer) -> tuple[Person, Person]:
    entropy: Entropy = story.entropy
    alice_person = Person("alice", entropy.token(_PASSWORD_BYTES), newsroom)
    bob_person = Person("bob", entropy.token(_PASSWORD_BYTES), relief)
    link = await story.step(
        "Invitation",
        lambda: newsroom.invite("--label", "Alice"),
        lambda link: f"the administrator's link keeps its secret in the fragment ({link.partition('token=')[0]}token=…)",
    )
    await story.step(
        "Uninvited registration",
        lambda: story.refuse_uninvited(newsroom),
        lambda answer: f"refused with {answer}",
    )
    alice = await story.step(
        "Alice registers",
        lambda: story.register(alice_person, "alice-laptop", link),
        lambda session: f"{session.user_id}, cross-signed, with key backup and a recovery key",
    )
    stack.push_async_callback(alice.close)
    bob_link = await relief.invite("--label", "Bob")
    bob = await story.step(
        "Bob registers",
        lambda: story.register(bob_person, "bob-phone", bob_link),
        lambda session: f"{session.user_id}, on the other server",
    )
    stack.push_async_callback(bob.close)

    async def meet() -> str:
        room_id = await alice.create_room(name="Handover", invite=[bob.user_id], encrypted=True)
        await bob.wait_for(invitation_to(room_id), 30_000)
        await bob.join(room_id, via=[newsroom.server_name])
        await alice.wait_for_member(room_id, bob.user_id, timeout_ms=30_000)
        return room_id

    room_id = await story.step("Encrypted room", meet, lambda _: "Bob was invited across servers and joined over federation")
    await story.step(
        "Conversation",
        lambda: story.exchange(alice, bob, room_id),
        lambda count: f"{count} messages in as many languages went both ways and were decrypted",
    )
    picture_bytes = await story.step(
        "Picture",
        lambda: story.send_picture(alice, bob, room_id),
        lambda data: f"{len(data)} bytes, encrypted, fetched from the other server, identical",
    )
    tablet, _ = await story.step(
        "Second device",
        lambda: story.second_device(alice_person, "alice-tablet", room_id),
        lambda result: f"verified with the recovery key; reads all {result[1]} earlier messages through key backup",
    )
    stack.push_async_callback(tablet.close)
    await story.step(
        "kill -9 in mid-conversation",
        lambda: story.crash(newsroom, alice, bob, room_id),
        lambda result: f"{result[0]} messages sent meanwhile, none lost, none doubled; up again in {result[1]} ms",
    )
    await story.step(
        "All three devices",
        lambda: story.say(bob, (alice, tablet), room_id, "Everybody still here?"),
        lambda _: "read a message sent after the crash",
    )

    async def look() -> tuple[int, int]:
        return await asyncio.to_thread(story.search, (newsroom, relief), picture_bytes)

    await story.step(
        "Search",
        look,
        lambda result: (
            f"{result[0] / 1e6:.1f} MB of databases, logs and media of both servers hold none of {result[1]} readable forms"
        ),
    )
    return alice_person, bob_person


async def _keep(newsroom: DemoServer, relief: DemoServer, alice: Person, bob: Person) -> None:
    click.echo("\nThe servers go on until Ctrl-C. Log in with any Matrix client:")
    for person, server in ((alice, newsroom), (bob, relief)):
        click.echo(f"  homeserver {server.base_url}  user @{person.name}:{server.server_name}  password {person.password}")
        click.echo(f"    recovery key {person.recovery_key}")
    click.echo(f"Invite somebody: watchword invite -c {newsroom.config_file}")
    await asyncio.Event().wait()
