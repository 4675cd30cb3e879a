"""The whole, put together."""

from tests.unit.server.federation.stacks import B, Net, Stack, running, settle
from watchword.server.federation.client import FederationClient
from watchword.server.federation.keys import KeyRing
from watchword.server.federation.media_client import MediaClient
from watchword.server.media.ports import RemoteMedia
from watchword.server.rooms.ports import EventSignatures, RemoteServers


def fits(client: FederationClient, keys: KeyRing, media: MediaClient) -> tuple[RemoteServers, EventSignatures, RemoteMedia]:
    """The type checker reads this: the ports of the features are fitted."""
    return client, keys, media


async def test_the_ports_of_the_features_are_fitted(two: tuple[Stack, Stack]) -> None:
    out = two[0].out
    assert fits(out.client, out.keys, out.media) == (out.client, out.keys, out.media)


async def test_stopping_and_starting_again_in_one_life_loses_nothing(two: tuple[Stack, Stack], net: Net) -> None:
    a, b = two
    async with running(a):
        await a.say(1)
    async with running(a, b):
        await a.say(2)
        await settle(lambda: {raw["id"] for _, raw in b.rooms.received} == {"$event1", "$event2"})
    assert a.out.backoff.failures(B) == 0
