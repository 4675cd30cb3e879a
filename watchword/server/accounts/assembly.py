"""Accounts put together: the one object that the doors are mounted with, and from which `app.py` takes its parts."""

from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.auditing import NO_AUDIT, Audit
from watchword.edge.endpoint import Rate
from watchword.edge.rate_limits import Allowance, RateLimiter
from watchword.server.accounts.account_admin import AccountAdmin
from watchword.server.accounts.authenticator import AccountAuthenticator
from watchword.server.accounts.captcha import Captcha
from watchword.server.accounts.commands import AccountSettings
from watchword.server.accounts.devices import Devices
from watchword.server.accounts.invitations import Invitations
from watchword.server.accounts.last_seen import LastSeen
from watchword.server.accounts.listing import AccountListing
from watchword.server.accounts.login import Logins
from watchword.server.accounts.login_tokens import LoginTokens
from watchword.server.accounts.password_check import PasswordCheck
from watchword.server.accounts.passwords import FailedLogins, Passwords
from watchword.server.accounts.ports import (
    Appservices,
    CrossSigningKeys,
    NoUnknownUsers,
    ProfileVisibility,
    RemoteProfiles,
    SharedRooms,
    UnknownUsers,
)
from watchword.server.accounts.presence import PresenceBook
from watchword.server.accounts.profiles import Profiles
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.registration import Registrar
from watchword.server.accounts.sessions import Sessions
from watchword.server.accounts.shared_secret import SharedSecretRegistration
from watchword.server.accounts.threepids.identity import IdentityServers
from watchword.server.accounts.threepids.messages import Messages
from watchword.server.accounts.threepids.ports import Mailbox, TextMessages
from watchword.server.accounts.threepids.proofs import Couriers, Proofs
from watchword.server.accounts.threepids.service import Threepids
from watchword.server.accounts.tokens import TokenCache
from watchword.server.accounts.uia import InteractiveAuthentication
from watchword.server.accounts.uia_stages import Stages
from watchword.server.accounts.user_data import UserData
from watchword.server.changes import Change
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class OutsideServices:
    """What an operator may have set up outside of Matrix; None, and nobody trusted, where it is not."""

    mailbox: Mailbox | None = None
    texts: TextMessages | None = None
    identity: IdentityServers = field(default_factory=IdentityServers)
    captcha: Captcha | None = None


@dataclass(frozen=True, slots=True)
class AccountPorts:
    """What others fit. They may be thin objects that are connected later: nothing is asked of them while assembling."""

    remote_profiles: RemoteProfiles
    shared_rooms: SharedRooms
    cross_signing: CrossSigningKeys
    appservices: Appservices
    outside: OutsideServices = field(default_factory=OutsideServices)
    unknown_users: UnknownUsers = field(default_factory=NoUnknownUsers)
    profile_visibility: ProfileVisibility | None = None
    audit: Audit = NO_AUDIT


@dataclass(frozen=True, slots=True)
class Accounts:
    """The parts. authenticator fits `ClientAuthenticator`, uia `InteractiveAuth`, reader the `Devices` of e2ee.

    `last_seen.run()` and `presence.run()` are for the server's task group; `close()` is for its end.
    """

    settings: AccountSettings
    reader: AccountReader
    authenticator: AccountAuthenticator
    uia: InteractiveAuthentication
    registrar: Registrar
    invitations: Invitations
    shared_secret: SharedSecretRegistration
    logins: Logins
    sessions: Sessions
    devices: Devices
    profiles: Profiles
    user_data: UserData
    presence: PresenceBook
    admin: AccountAdmin
    last_seen: LastSeen
    passwords: Passwords
    shared_rooms: SharedRooms
    threepids: Threepids
    audit: Audit
    listing: AccountListing

    async def close(self) -> None:
        """Write what is only in memory and stop the threads. Before the database closes."""
        await self.last_seen.save()
        self.passwords.close()


def assemble_accounts(
    settings: AccountSettings, database: Database, log: Log[Change], clock: Clock, entropy: Entropy, ports: AccountPorts
) -> Accounts:
    """Build everything of this feature. The log must not have started to speak before: the reader listens to it."""
    cache = TokenCache()
    passwords = Passwords(settings, entropy)
    password_check = PasswordCheck(database, passwords, FailedLogins(clock, settings.failed_logins_max), settings.server_name)
    sessions = Sessions(database, log, clock, entropy, settings, cache)
    invitations = Invitations(database, clock, entropy)
    threepids = _threepids(settings, database, clock, entropy, ports.outside)
    stages = Stages(password_check, invitations, threepids.proofs, ports.outside.captcha)
    uia = InteractiveAuthentication(settings, stages, invitations, clock, entropy)
    login_tokens = LoginTokens(database, clock, entropy, settings, uia)
    reader = AccountReader(database, log, clock, ports.unknown_users)
    last_seen = LastSeen(database, clock)
    presence = PresenceBook(database, log, clock, settings.server_name, enabled=settings.presence)
    registrar = Registrar(database, log, clock, entropy, settings, passwords, sessions, invitations, uia, ports.appservices)
    return Accounts(
        settings=settings,
        reader=reader,
        authenticator=AccountAuthenticator(database, clock, cache, last_seen, ports.appservices),
        uia=uia,
        registrar=registrar,
        invitations=invitations,
        shared_secret=SharedSecretRegistration(settings.shared_secret, registrar, clock, entropy, ports.audit),
        logins=Logins(database, settings, sessions, password_check, ports.appservices, ports.cross_signing, login_tokens),
        sessions=sessions,
        devices=Devices(database, log, clock, sessions),
        profiles=Profiles(database, log, settings, reader, ports.remote_profiles, presence, ports.profile_visibility),
        user_data=UserData(database, log),
        presence=presence,
        admin=AccountAdmin(database, log, clock, entropy, settings, reader, passwords, sessions, threepids, last_seen),
        last_seen=last_seen,
        passwords=passwords,
        shared_rooms=ports.shared_rooms,
        threepids=threepids,
        audit=ports.audit,
        listing=AccountListing(database, clock),
    )


def _threepids(
    settings: AccountSettings, database: Database, clock: Clock, entropy: Entropy, outside: OutsideServices
) -> Threepids:
    per_address = Allowance(limits.threepid_messages_per_hour_max / 3_600, limits.threepid_messages_per_hour_max)
    proofs = Proofs(
        database=database,
        clock=clock,
        entropy=entropy,
        settings=settings.threepids,
        public_base_url=settings.base_url,
        messages=Messages(settings.server_name),
        couriers=Couriers(outside.mailbox, outside.texts, outside.identity),
        limiter=RateLimiter({Rate.LOGIN: per_address}, clock),
    )
    return Threepids(database, clock, settings.threepids, proofs, outside.identity)
