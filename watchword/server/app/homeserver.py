"""A homeserver, wired: every feature built once and handed what it needs.

`Homeserver.build` wires and asks nobody; `start` reads what was before and opens the doors; `run` lives until cancelled.
Deliberately absent: decisions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from watchword import __version__
from watchword.base.clock import Clock, SystemClock
from watchword.base.config import Config
from watchword.base.entropy import Entropy, SystemEntropy
from watchword.base.errors import StorageError
from watchword.base.metrics import LoopLag, Metrics
from watchword.edge import operations
from watchword.edge.connection import ConnectionLimits
from watchword.edge.dns import DnsResolver
from watchword.edge.listener import Listeners, listens
from watchword.edge.rate_limits import RateLimiter, allowances
from watchword.edge.router import Router
from watchword.edge.stopping import Stopping
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server import (
    accounts,
    admin,
    appservices,
    changes,
    delayed,
    e2ee,
    federation,
    media,
    moderation,
    notices,
    oauth,
    push,
    rooms,
    search,
)
from watchword.server.accounts import endpoints as account_doors
from watchword.server.accounts.assembly import AccountPorts, Accounts, assemble_accounts
from watchword.server.accounts.threepids.lookups import IdentityLookups
from watchword.server.admin import endpoints as admin_doors
from watchword.server.admin.assembly import AdminFeatures, AdminGround, Administration, AdminSettings, assemble_admin
from watchword.server.admin.audit import AuditLog
from watchword.server.app import settings
from watchword.server.app.outside import outside_services
from watchword.server.appservices import endpoints as appservice_doors
from watchword.server.appservices.assembly import Appservices, assemble_appservices
from watchword.server.appservices.authority import Authority
from watchword.server.appservices.compose import Sources
from watchword.server.appservices.delivery import Ground as DeliveryGround
from watchword.server.appservices.queries import Queries
from watchword.server.appservices.registration import read_registrations
from watchword.server.calls import endpoints as call_doors
from watchword.server.calls.livekit import LiveKitServer
from watchword.server.calls.service import CallPorts, Calls
from watchword.server.changes import Change
from watchword.server.delayed import endpoints as delayed_doors
from watchword.server.delayed.assembly import Delayed, DelayGround, assemble_delayed
from watchword.server.discovery import endpoints as discovery_doors
from watchword.server.discovery.service import Discovery
from watchword.server.e2ee import endpoints as e2ee_doors
from watchword.server.e2ee.follower import E2eeFollower
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.e2ee.recent_changes import RecentChanges
from watchword.server.e2ee.service import E2eePorts, E2eeService
from watchword.server.federation import endpoints as federation_doors
from watchword.server.federation import third_party_endpoints as third_party_doors
from watchword.server.federation.egress import HttpsEgress
from watchword.server.federation.own_keys import load_or_create_signing_key
from watchword.server.federation.ports import Egress
from watchword.server.federation.service import FederationIn, FederationOut, Fittings, Ground
from watchword.server.media import endpoints as media_doors
from watchword.server.media.assembly import Outside, Repository, assemble_media
from watchword.server.media.files import Files
from watchword.server.moderation import endpoints as moderation_doors
from watchword.server.moderation.assembly import Moderation, ModerationGround, assemble_moderation
from watchword.server.moderation.bans import BanList
from watchword.server.moderation.media_follower import MediaFollower
from watchword.server.notices.assembly import assemble_notices
from watchword.server.notices.service import ServerNotices
from watchword.server.oauth import endpoints as oauth_doors
from watchword.server.oauth.assembly import OAuth, OAuthPorts, assemble_oauth
from watchword.server.push import endpoints as push_doors
from watchword.server.push.assembly import Push, PushPorts, assemble_push
from watchword.server.push.rules import PushRules
from watchword.server.rendezvous import endpoints as rendezvous_doors
from watchword.server.rendezvous.endpoints import RendezvousDoors
from watchword.server.rendezvous.sessions import RendezvousSessions
from watchword.server.rooms import endpoints as room_doors
from watchword.server.rooms import endpoints_retention as retention_doors
from watchword.server.rooms import endpoints_timestamps as timestamp_doors
from watchword.server.rooms.assembly import RoomPorts, Rooms, assemble_rooms
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.sharing import SharingHistory
from watchword.server.rooms.sticky_for_servers import StickyForServers
from watchword.server.rooms.writer import Identity
from watchword.server.search import endpoints as search_doors
from watchword.server.search.assembly import Search, assemble_search
from watchword.server.search.people import People
from watchword.server.spaces import endpoints as space_doors
from watchword.server.spaces.assembly import assemble_spaces
from watchword.server.spaces.service import Spaces
from watchword.server.sync import endpoints as sync_doors
from watchword.server.sync import endpoints_old_streams as old_stream_doors
from watchword.server.sync import sliding
from watchword.server.sync.assembly import Sync, SyncPorts, assemble_sync
from watchword.server.sync.sliding import endpoints as sliding_doors
from watchword.storage import Database, Log, Position, Schema, SqliteDatabase, migrate
from watchword.storage.folder import FolderClaim

logger = logging.getLogger(__name__)

SCHEMAS = (
    Schema("storage", "watchword.storage"),
    accounts.SCHEMA,
    e2ee.SCHEMA,
    media.SCHEMA,
    rooms.SCHEMA,
    federation.SCHEMA,
    appservices.SCHEMA,
    push.SCHEMA,
    search.SCHEMA,
    delayed.SCHEMA,
    moderation.SCHEMA,
    notices.SCHEMA,
    admin.SCHEMA,
    oauth.SCHEMA,
    sliding.SCHEMA,
)
_MAINTENANCE_MS = 600_000
_REFUSED_PAUSE_MS = 1_000
_LOG_KEPT_CHANGES = 100_000
_TRIM_AT_ONCE = 2_000


@dataclass(frozen=True)
class World:
    """What a server stands on and a simulation replaces. egress: None for the real network. claim: None for no folder."""

    clock: Clock
    entropy: Entropy
    database: Database
    egress: Egress | None = None
    claim: FolderClaim | None = None


class _RoomsLater:
    """Lets features below `rooms` ask it, once it is there: they are built first."""

    reader: RoomReader

    async def share_room(self, a: UserId, b: UserId) -> bool:
        return await self.reader.share_room(a, b)

    async def users_sharing_room_with(self, user_id: UserId) -> set[UserId]:
        return await self.reader.users_sharing_room_with(user_id)

    async def servers_sharing_room_with(self, user_id: UserId) -> set[ServerName]:
        return await self.reader.servers_sharing_room_with(user_id)

    async def sharing_changes(self, user_id: UserId, after: Position, until: Position) -> tuple[set[UserId], set[UserId]]:
        return await SharingHistory(self.reader).sharing_changes(user_id, after, until)


class _KeysLater:
    """Lets accounts ask e2ee."""

    reader: E2eeReader

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        return await self.reader.is_cross_signing_key(user_id, name)


class _PeopleLater:
    """Lets accounts ask who may see whom."""

    people: People

    async def may_see_profile(self, viewer: UserId | None, user_id: UserId) -> bool:
        return await self.people.may_see_profile(viewer, user_id)


class _PushRulesLater:
    """Lets rooms give push rules to the room that replaces another."""

    rules: PushRules

    async def copy_room_rules(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        await self.rules.copy_room_rules(user_id, old, new)


class Homeserver:
    """One server, wired. Parts are public: the command line and tests use them."""

    def __init__(self, config: Config, world: World) -> None:
        self.config = config
        self.world = world
        self.stopping = Stopping()
        self.metrics = Metrics()
        self.log: Log[Change] = Log(world.database, changes.encode_change, changes.decode_change)
        server_name = ServerName(config.server_name)
        clock, entropy, database = world.clock, world.entropy, world.database
        self.signing_key = load_or_create_signing_key(config.signing_key_path, entropy)
        self._resolver = DnsResolver(config.egress.nameservers)
        self._fetcher = settings.fetcher(config, self._resolver)
        wanted = settings.federation_settings(config, server_name)
        egress = world.egress or HttpsEgress(self._fetcher, self._resolver)
        self.federation_out = FederationOut.build(Ground(database, wanted, clock, entropy), egress, self.signing_key)

        authority = Authority(read_registrations(config.appservices.registration_files, server_name), server_name)
        self._appservice_fetcher = settings.appservice_fetcher(config, self._resolver)
        queries = Queries(authority, self._appservice_fetcher, clock)

        rooms_later, keys_later, people_later = _RoomsLater(), _KeysLater(), _PeopleLater()
        client = self.federation_out.client
        audit = AuditLog(database, clock, config.admin.audit_kept_ms)
        account_settings = settings.account_settings(config, server_name)
        self.outside = outside_services(config, account_settings, self._resolver, clock, entropy, self.signing_key)
        self.accounts: Accounts = assemble_accounts(
            account_settings,
            database,
            self.log,
            clock,
            entropy,
            AccountPorts(
                client,
                rooms_later,
                keys_later,
                authority,
                outside=self.outside.services,
                unknown_users=queries,
                profile_visibility=people_later if config.people.profiles_restricted else None,
                audit=audit,
            ),
        )
        self._limiter = RateLimiter(allowances(config.rate_limits), clock)
        self._provider_fetcher = settings.provider_fetcher(config, self._resolver)
        self.oauth: OAuth = assemble_oauth(
            settings.oauth_settings(config, server_name),
            database,
            clock,
            entropy,
            self.accounts,
            OAuthPorts(self._limiter, self._provider_fetcher),
        )
        recent = RecentChanges()
        e2ee_reader = keys_later.reader = E2eeReader(database, self.accounts.reader, recent)
        ports = E2eePorts(self.accounts.reader, self.oauth.approvals, rooms_later, client, self.accounts.devices, rooms_later)
        self.e2ee = E2eeService(database, self.log, clock, entropy, server_name, ports, e2ee_reader)
        self.e2ee_follower = E2eeFollower(database, self.log, e2ee_reader, recent, self.e2ee.lists)
        self.media: Repository = assemble_media(
            database,
            Files(config.media_path, entropy),
            clock,
            entropy,
            server_name,
            Outside(self.federation_out.media, settings.preview_fetcher(config, self._resolver)),
            (settings.media_settings(config), settings.preview_settings(config)),
        )
        push_rules_later, bans = _PushRulesLater(), BanList(server_name)
        self.rooms: Rooms = assemble_rooms(
            database,
            self.log,
            clock,
            entropy,
            RoomPorts(
                Identity(server_name, self.signing_key),
                self.accounts.reader,
                self.accounts.user_data,
                client,
                self.federation_out.keys,
                push_rules_later,
                directories=client,
                times=client,
                addresses=IdentityLookups(self.outside.services.identity, self._fetcher),
                bans=bans,
                alias_owners=queries,
                audit=audit,
            ),
            settings.room_limits(config),
        )
        rooms_later.reader = self.rooms.reader
        self._push_fetcher = settings.push_fetcher(config, self._resolver)
        push_ports = PushPorts(self.rooms, self.accounts, self._push_fetcher, self.outside.mailer)
        self.push: Push = assemble_push(database, self.log, clock, entropy, push_ports, settings.push_settings(config))
        push_rules_later.rules = self.push.rules
        self.search: Search = assemble_search(
            settings.search_settings(config, server_name), database, self.log, clock, self.rooms, self.accounts.reader
        )
        people_later.people = self.search.people
        self.spaces: Spaces = assemble_spaces(server_name, clock, entropy, self.rooms, self.rooms.membership, client)
        self._livekit_fetcher = settings.livekit_fetcher(config, self._resolver)
        self.calls = self._calls(server_name)
        self.delayed: Delayed = assemble_delayed(
            DelayGround(database, self.log, clock, entropy),
            settings.delay_settings(config),
            self.rooms.doors.posting,
            self.accounts.reader,
            self._limiter,
        )
        ground = ModerationGround(database, self.log, clock, self.rooms.reader, self.rooms.membership, bans)
        self.notices: ServerNotices = assemble_notices(
            database, self.accounts, self.rooms.membership, settings.notice_settings(config)
        )
        self.moderation: Moderation = assemble_moderation(ground, settings.policy_rooms(config))
        self.media_follower = MediaFollower(database, self.log, clock, self.rooms.reader, self.media.removal)
        authority.accounts = self.accounts.reader
        self.appservices: Appservices = assemble_appservices(
            queries,
            Sources(
                self.rooms.reader,
                self.rooms.ephemeral,
                self.accounts.reader,
                self.accounts.presence,
                e2ee_reader,
                clock,
            ),
            DeliveryGround(database, self.log, self._appservice_fetcher, e2ee_reader, clock, entropy),
            self.accounts.registrar,
            server_name,
        )
        self.federation_in = FederationIn.build(self.federation_out, self.log, self._fittings())
        self.admin: Administration = assemble_admin(
            AdminGround(database, self.log, clock, entropy, audit),
            AdminFeatures(
                self.accounts,
                self.rooms,
                self.media,
                self.moderation,
                self.federation_out.backoff,
                self.push.journal,
                self.notices,
            ),
            AdminSettings(
                server_name,
                config.base_url,
                config.registration.invitation_lifetime_ms,
                __version__,
                config.database_path,
            ),
        )
        self.sync: Sync = assemble_sync(
            SyncPorts(
                database,
                self.log,
                self.rooms,
                self.accounts.reader,
                e2ee_reader,
                self.accounts.presence,
                self.push.unread,
                self.push.rules,
                self.stopping,
                clock,
                entropy,
            )
        )
        self.router = self._mounted(server_name)
        connection_limits = ConnectionLimits.of(config.limits)
        self.metrics.read_gauge("watchword_log_position", "The last durable position of the log.", lambda: self.log.position)
        self.listeners = Listeners(self.router, listens(config), self.stopping, clock, connection_limits)
        self.metrics.read_gauge("watchword_connections", "Open connections of clients and servers.", self._connections)

    def _connections(self) -> int:
        return self.listeners.connections

    @staticmethod
    def build(config: Config) -> "Homeserver":
        """A real server: the machine's clock, chance, disk and network. Creates and claims the data folder.

        Raises ConfigError, StorageError.
        """
        claim = FolderClaim(Path(config.data_dir), config.server_name)
        try:
            database = SqliteDatabase(config.database_path, cache_kibibytes=config.database.cache_bytes // 1024)
            return Homeserver(config, World(SystemClock(), SystemEntropy(), database, claim=claim))
        except BaseException:
            claim.release()
            raise

    def _calls(self, server_name: ServerName) -> Calls:
        wanted, clock = settings.call_settings(self.config), self.world.clock
        media = None if wanted.livekit is None else LiveKitServer(wanted.livekit, self._livekit_fetcher, clock)
        return Calls(wanted, clock, CallPorts(server_name, self.rooms.reader, self.federation_out.client, media))

    def _fittings(self) -> Fittings:
        return Fittings(
            receiver=self.rooms.remote.receiver,
            rooms=self.rooms.remote.for_servers,
            room_servers=self.rooms.reader,
            room_edus=self.rooms.remote.edus,
            room_acls=self.rooms.remote.acls,
            e2ee_in=self.e2ee,
            e2ee_out=self.e2ee.reader,
            presence=self.accounts.presence if self.config.presence.enabled else None,
            profiles=self.accounts.reader,
            openid=self.accounts.reader,
            version=__version__,
            sticky=StickyForServers(self.rooms.reader, self.accounts.reader),
        )

    def _mounted(self, server_name: ServerName) -> Router:
        config, entropy = self.config, self.world.entropy
        router = Router(
            self.accounts.authenticator,
            self.federation_out.authenticator if config.federation.enabled else None,
            self._limiter,
            entropy=entropy,
            metrics=self.metrics,
            log_requests=config.logs.requests,
        )
        router.mount(operations.ENDPOINTS, operations.Operations(self.metrics, metrics_enabled=config.metrics.enabled))
        router.mount(discovery_doors.ENDPOINTS, Discovery(settings.discovery_settings(config)))
        router.mount(account_doors.ENDPOINTS, self.accounts)
        if config.oauth.enabled:
            router.mount(oauth_doors.ENDPOINTS, self.oauth)
        router.mount(e2ee_doors.ENDPOINTS, self.e2ee)
        router.mount(media_doors.ENDPOINTS, self.media.door)
        doors_of_rooms = replace(self.rooms.doors, event_levels=settings.call_power_levels(config))
        if config.delayed_events.enabled:
            doors_of_rooms = replace(doors_of_rooms, delays=self.delayed.service)
            router.mount(delayed_doors.ENDPOINTS, self.delayed.service)
        router.mount(room_doors.ENDPOINTS, doors_of_rooms)
        router.mount(retention_doors.ENDPOINTS, settings.retention_settings(config))
        router.mount(timestamp_doors.ENDPOINTS, self.rooms.timestamps)
        if config.rendezvous.enabled:
            meeting = RendezvousSessions(self.world.clock, entropy)
            doors = RendezvousDoors(meeting, config.base_url, config.rendezvous.open_to_all)
            router.mount(rendezvous_doors.ENDPOINTS, doors)
        router.mount(push_doors.ENDPOINTS, self.push)
        router.mount(call_doors.ENDPOINTS, self.calls)
        router.mount(search_doors.ENDPOINTS, self.search)
        router.mount(space_doors.ENDPOINTS, self.spaces)
        router.mount(appservice_doors.ENDPOINTS, self.appservices.queries)
        router.mount(moderation_doors.ENDPOINTS, self.moderation)
        router.mount(admin_doors.ENDPOINTS, self.admin.door)
        router.mount(sync_doors.ENDPOINTS, self.sync.doors)
        router.mount(sliding_doors.ENDPOINTS, self.sync.sliding)
        router.mount(old_stream_doors.ENDPOINTS, self.sync.old_streams)
        if config.federation.enabled:
            router.mount(federation_doors.ENDPOINTS, self.federation_in.doors)
            router.mount(third_party_doors.ENDPOINTS, self.rooms.doors.addresses)
        return router

    # Life

    async def prepare(self) -> None:
        """Bring the database up to date and read what was before: everything but the doors."""
        applied = await migrate(self.world.database, SCHEMAS)
        if applied:
            logger.info("The database was brought up to date.", extra={"migrations": applied})
        await self.log.start()
        await self.e2ee_follower.start()
        await self.media.start()
        await self.accounts.reader.start()
        await self.rooms.start()
        await self.moderation.lists.start()
        await self.admin.start()
        await self.federation_out.start()
        await self.appservices.start()
        await self.search.start()

    async def start(self) -> None:
        """Prepare, then open the doors. Raises StorageError, ListenError."""
        await self.prepare()
        await self.listeners.start()

    async def run(self, *, doors: bool = True) -> None:
        """Run everything that goes on in the background, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for loop in (
                self.accounts.last_seen.run,
                self.accounts.presence.run,
                self.oauth.run,
                self.e2ee.run,
                self.e2ee.lists.run,
                self.e2ee_follower.run,
                self.rooms.ephemeral.run,
                self.rooms.timestamps.run,
                self.rooms.relations.mass_redactions.run,
                self.delayed.timer.run,
                self.media.run,
                self.sync.waiting.run,
                self.moderation.lists.run,
                self.admin.audit.run,
                self.admin.removals.run,
                self.sync.sliding.connections.run,
                self._maintain,
            ):
                group.create_task(self._again(loop))
            for coroutine in (
                self.rooms.follower.run(),
                self.rooms.guests.run(),
                self.push.run(),
                self.appservices.run(),
                self.search.run(),
            ):
                group.create_task(coroutine)
            if self.config.retention.enabled:
                group.create_task(self._again(self.rooms.retention.run))
            if self.outside.mailer is not None:
                group.create_task(self.outside.mailer.run())
            if self.config.media.delete_with_event:
                group.create_task(self.media_follower.run())
            if self.config.federation.enabled:
                group.create_task(self.federation_in.run())
            if doors:
                group.create_task(self.listeners.run())
                group.create_task(LoopLag(self.metrics, self.world.clock).run())

    async def _again(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop that keeps what it knows outside of itself; a disk that refuses for a while does not end it."""
        while True:
            try:
                await loop()
            except* StorageError as errors:
                logger.warning("The database refused; this work goes on soon.", extra={"cause": str(errors.exceptions[0])})
            await self.world.clock.sleep(_REFUSED_PAUSE_MS)

    async def stop(self) -> None:
        """Answer who waits, refuse who comes, write what is only in memory, close. After `run` was cancelled."""
        self.stopping.set()
        self.sync.waiting.wake_all()
        await self.listeners.stop()
        await self.sync.sliding.connections.save_all()
        await self.accounts.close()
        self.federation_out.close()
        await self._fetcher.close()
        await self._push_fetcher.close()
        await self._provider_fetcher.close()
        await self._appservice_fetcher.close()
        await self._livekit_fetcher.close()
        await self.outside.close()
        await self._resolver.close()
        await self.media.close()
        await self.world.database.close()
        if self.world.claim is not None:
            self.world.claim.release()

    async def _maintain(self) -> None:
        while True:
            await self.world.clock.sleep(_MAINTENANCE_MS)
            keep_after = Position(max(0, self.log.position - _LOG_KEPT_CHANGES))
            trimmed = _TRIM_AT_ONCE
            while trimmed == _TRIM_AT_ONCE:
                async with self.world.database.write() as tx:
                    trimmed = await self.log.trim(tx, keep_after, _TRIM_AT_ONCE)
            async with self.world.database.write() as tx:
                await self.rooms.forget_old(tx)
                await self.delayed.service.forget_old(tx)
