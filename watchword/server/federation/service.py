"""Puts federation together, in the two steps that the order of features asks for.

`FederationOut` needs nobody upstairs or beside: rooms, accounts, devices and media are built with it. `FederationIn` is
built when they are there, and is what the doors and the followers need.
"""

import asyncio
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.protocol.signatures import SigningKey
from watchword.server.changes import Change
from watchword.server.federation.backoff import Backoff
from watchword.server.federation.client import FederationClient
from watchword.server.federation.discovery import ServerDiscovery
from watchword.server.federation.doors import FederationDoors
from watchword.server.federation.follower import FederationFollower
from watchword.server.federation.incoming import TransactionReceiver
from watchword.server.federation.incoming_edus import IncomingEdus
from watchword.server.federation.key_fetch import KeyFetch
from watchword.server.federation.keys import KeyRing
from watchword.server.federation.media_client import MediaClient
from watchword.server.federation.notary import KeyNotary
from watchword.server.federation.own_keys import OwnKeys
from watchword.server.federation.peer import PeerTransport
from watchword.server.federation.ports import (
    NOTHING_STICKY,
    Egress,
    IncomingE2ee,
    LocalProfiles,
    OpenIdTokens,
    OutgoingE2ee,
    Presence,
    Receiver,
    RoomAcls,
    RoomEdus,
    RoomServers,
    RoomsForServers,
    StickyOut,
)
from watchword.server.federation.request_auth import RequestAuthenticator
from watchword.server.federation.routes import Routes
from watchword.server.federation.sender import Sender
from watchword.server.federation.settings import FederationSettings
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class Ground:
    """What everything here stands on."""

    database: Database
    settings: FederationSettings
    clock: Clock
    entropy: Entropy


@dataclass(frozen=True, slots=True)
class FederationOut:
    """Keys and calls. client fits what `rooms`, `e2ee` and `accounts` need of other servers, media
    what `media` needs, keys the checking of signatures, authenticator the router's."""

    ground: Ground
    own_keys: OwnKeys
    backoff: Backoff
    discovery: ServerDiscovery
    transport: PeerTransport
    keys: KeyRing
    client: FederationClient
    media: MediaClient
    authenticator: RequestAuthenticator

    @staticmethod
    def build(ground: Ground, egress: Egress, signing_key: SigningKey) -> "FederationOut":
        """Nothing is asked of anybody yet."""
        settings, clock = ground.settings, ground.clock
        own_keys = OwnKeys(signing_key, settings, clock)
        backoff = Backoff(ground.database, settings, clock, ground.entropy)
        discovery = ServerDiscovery(egress, settings, clock, ground.entropy)
        transport = PeerTransport(egress, discovery, backoff, own_keys, settings)
        keys = KeyRing(ground.database, own_keys, KeyFetch(transport, settings, clock), clock)
        return FederationOut(
            ground=ground,
            own_keys=own_keys,
            backoff=backoff,
            discovery=discovery,
            transport=transport,
            keys=keys,
            client=FederationClient(transport, settings),
            media=MediaClient(transport, egress, settings),
            authenticator=RequestAuthenticator(settings, keys, clock, backoff.heard_from),
        )

    async def start(self) -> None:
        """Read what was known before the last stop; call it before the first request."""
        await self.backoff.start()

    def close(self) -> None:
        """End worker threads."""
        self.keys.close()


@dataclass(frozen=True, slots=True)
class Fittings:
    """The ports of federation, fitted. presence: None if it is off. version: this program's."""

    receiver: Receiver
    rooms: RoomsForServers
    room_servers: RoomServers
    room_edus: RoomEdus
    room_acls: RoomAcls
    e2ee_in: IncomingE2ee
    e2ee_out: OutgoingE2ee
    presence: Presence | None
    profiles: LocalProfiles
    openid: OpenIdTokens
    version: str
    sticky: StickyOut = NOTHING_STICKY


@dataclass(frozen=True, slots=True)
class FederationIn:
    """Transactions in and out. doors: for `Router.mount(endpoints.ENDPOINTS, doors)`."""

    doors: FederationDoors
    sender: Sender
    follower: FederationFollower

    @staticmethod
    def build(out: FederationOut, log: Log[Change], fittings: Fittings) -> "FederationIn":
        """Nothing runs yet."""
        ground = out.ground
        database, settings, clock = ground.database, ground.settings, ground.clock
        routes = Routes(settings, fittings.room_servers, fittings.e2ee_out, fittings.presence, fittings.sticky)
        sender = Sender(out.client, out.backoff, routes, settings, clock, ground.entropy)
        edus = IncomingEdus(fittings.room_edus, fittings.room_acls, fittings.e2ee_in, fittings.presence, clock)
        doors = FederationDoors(
            server_name=settings.server_name,
            version=fittings.version,
            clock=clock,
            own_keys=out.own_keys,
            notary=KeyNotary(database, out.keys, out.own_keys, settings, clock),
            transactions=TransactionReceiver(fittings.receiver, edus, out.backoff),
            rooms=fittings.rooms,
            profiles=fittings.profiles,
            openid=fittings.openid,
        )
        return FederationIn(doors, sender, FederationFollower(database, log, sender, routes, out.backoff, settings, clock))

    async def run(self) -> None:
        """Follow the log and send, until cancelled."""
        await self.follower.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follower.run())
            group.create_task(self.sender.run())
