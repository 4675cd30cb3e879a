"""Making accounts: by invitation, openly, as a guest, for an application service, or by an operator's script.

A name is checked before anybody is asked to authenticate, and again in the transaction that makes the account.
"""

from dataclasses import dataclass, field, replace

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.request import Request
from watchword.protocol.ids import DeviceId, UserId, localpart_of, parse_device_id
from watchword.server.accounts import tables
from watchword.server.accounts.commands import (
    AccountSettings,
    CreateAccount,
    OpenSession,
    Refused,
    RegistrationMode,
    Tokens,
)
from watchword.server.accounts.decide import TERMS, device_name_refusal, new_user_id, password_refusal, registration_flows
from watchword.server.accounts.invitations import Invitations
from watchword.server.accounts.passwords import Passwords
from watchword.server.accounts.ports import Appservices
from watchword.server.accounts.sessions import Sessions
from watchword.server.accounts.threepids import tables as threepid_tables
from watchword.server.accounts.threepids.commands import OwnThreepid
from watchword.server.accounts.tokens import token_hash, unknown_token
from watchword.server.accounts.uia import InteractiveAuthentication
from watchword.server.accounts.uia_stages import REGISTER, UiaSession
from watchword.server.changes import AccountCreated, Change
from watchword.storage import Also, Database, Log, Tx

_GENERATED = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Registration:
    """What a newcomer wishes. username None: any name. device_id None: a new device.

    guest_token: the access token of the guest that he has been.
    """

    username: str | None
    password: str | None = field(repr=False)
    device_id: DeviceId | None
    device_name: str | None
    wants_login: bool
    refreshable: bool
    guest_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Registered:
    """A new account; tokens None if the newcomer did not want to be logged in."""

    user_id: UserId
    tokens: Tokens | None


def registration_in(request: Request) -> Registration:
    """Read a registration. Raises BadRequest."""
    device_id = request.field_or_none("device_id", str)
    wish = Registration(
        username=request.field_or_none("username", str),
        password=request.field_or_none("password", str),
        device_id=None if device_id is None else request.field_parsed("device_id", parse_device_id),
        device_name=request.field_or_none("initial_device_display_name", str),
        wants_login=not request.field_or("inhibit_login", bool, False),
        refreshable=request.field_or("refresh_token", bool, False),
        guest_token=request.field_or_none("guest_access_token", str),
    )
    refused = device_name_refusal(wish.device_name)
    if refused is not None:
        raise refused.error()
    return wish


@dataclass(frozen=True)
class Registrar:
    """Makes accounts."""

    database: Database
    log: Log[Change]
    clock: Clock
    entropy: Entropy
    settings: AccountSettings
    passwords: Passwords
    sessions: Sessions
    invitations: Invitations
    uia: InteractiveAuthentication
    appservices: Appservices

    async def register(self, request: Request) -> Registered:
        """A newcomer's request, through interactive authentication. Raises Refusal.

        Spec: client-server-api#post_matrixclientv3register
        """
        flows = registration_flows(self.settings)
        if isinstance(flows, Refused):
            raise flows.error()
        wish = registration_in(request)
        guest = await self._guest(wish)
        if guest is None and wish.username is not None:
            await self.check_name(wish.username)
        if wish.password is not None:
            self.check_password(wish.password)
        # The session pays for one account, whatever its name: a name taken meanwhile must not cost the invitation.
        session = await self.uia.passed(request, None, REGISTER, None, flows)
        if wish.password is None:
            raise BadRequest("M_MISSING_PARAM", "The password is missing.")
        self.uia.take(session)
        try:
            user_id = await self._name(wish.username) if guest is None else guest
            password_hash = await self.passwords.hash(wish.password)
            command = replace(self._command(user_id, password_hash, session), replaces_guest=guest is not None)
            registered = await self.create(command, wish)
        except BaseException:
            self.uia.give_back(session)
            raise
        self.uia.finish(session)
        return registered

    def _command(self, user_id: UserId, password_hash: str, session: UiaSession) -> CreateAccount:
        policies = self.settings.policies if TERMS in session.completed else ()
        return CreateAccount(
            user_id,
            password_hash,
            invitation_id=session.invitation_id,
            proofs=tuple(session.proofs.values()),
            policies=[(policy.policy_id, policy.version) for policy in policies],
        )

    async def _guest(self, wish: Registration) -> UserId | None:
        """The guest that the newcomer has been. Raises Forbidden if he is another, or none.

        Spec: client-server-api#guest-access
        """
        if wish.guest_token is None:
            return None
        async with self.database.read() as tx:
            pair = await tables.pair_by_access(tx, token_hash(wish.guest_token))
        if pair is None or not pair.account.is_guest or pair.account.is_deactivated or pair.account.is_locked:
            raise Forbidden("This is not the access token of a guest.")
        if wish.username is None or wish.username.lower() != localpart_of(pair.account.user_id):
            raise Forbidden("username must be the name of the guest.")
        return pair.account.user_id

    async def register_guest(self, request: Request) -> Registered:
        """An account without a password; whatever else the body says is ignored. Raises Forbidden if guests are off.

        Spec: client-server-api#guest-access
        """
        if not self.settings.guests or self.settings.registration is RegistrationMode.CLOSED:
            raise Forbidden("This server does not admit guests.", "M_GUEST_ACCESS_FORBIDDEN")
        name = request.json.get("initial_device_display_name")
        name = name if isinstance(name, str) and device_name_refusal(name) is None else None
        wish = Registration(None, None, None, name, wants_login=True, refreshable=False)
        return await self.create(CreateAccount(await self._name(None), None, is_guest=True), wish)

    async def register_for_appservice(self, request: Request, token: str | None) -> Registered:
        """A user in an application service's namespace. Raises Unauthenticated, BadRequest M_EXCLUSIVE or M_USER_IN_USE.

        Spec: application-service-api#server-admin-style-permissions
        """
        appservice_id = None if token is None else self.appservices.id_of(token)
        if appservice_id is None:
            raise unknown_token()
        wish = registration_in(request)
        if wish.username is None:
            raise BadRequest("M_MISSING_PARAM", "username is missing.")
        user_id = self._user_id(wish.username)
        if not self.appservices.may_register(appservice_id, user_id):
            raise BadRequest("M_EXCLUSIVE", "This user is outside the namespace of the application service.")
        return await self.create(CreateAccount(user_id, None, appservice_id=appservice_id), wish)

    async def register_as_operator(
        self,
        username: str,
        password: str | None,
        *,
        admin: bool,
        device_name: str | None = None,
        wants_login: bool = True,
        also: Also | None = None,
    ) -> Registered:
        """An account made by who proved to be the operator; without a password nobody can log in. Raises BadRequest."""
        user_id = await self.check_name(username)
        if password is not None:
            self.check_password(password)
        wish = Registration(username, password, None, device_name, wants_login=wants_login, refreshable=False)
        password_hash = None if password is None else await self.passwords.hash(password)
        return await self.create(CreateAccount(user_id, password_hash, is_admin=admin), wish, also)

    def check_password(self, password: str) -> None:
        """Raises BadRequest M_WEAK_PASSWORD."""
        refused = password_refusal(password, self.settings.password_characters_min)
        if refused is not None:
            raise refused.error()

    async def check_name(self, username: str) -> UserId:
        """The ID that a name makes. Raises BadRequest M_INVALID_USERNAME, M_EXCLUSIVE or M_USER_IN_USE."""
        user_id = self._user_id(username)
        if self.appservices.exclusive_owner(user_id) is not None:
            raise BadRequest("M_EXCLUSIVE", "This name is reserved for an application service.")
        async with self.database.read() as tx:
            if await tables.account(tx, user_id) is not None:
                raise _in_use()
        return user_id

    def _user_id(self, username: str) -> UserId:
        user_id = new_user_id(username, self.settings.server_name)
        if isinstance(user_id, Refused):
            raise user_id.error()
        return user_id

    async def _name(self, username: str | None) -> UserId:
        # Ten characters of 32: that two newcomers draw the same one is refused like any name in use.
        return await self.check_name(self.entropy.letters(10, _GENERATED) if username is None else username)

    async def create(self, command: CreateAccount, wish: Registration, also: Also | None = None) -> Registered:
        """Commit the account, its first session and the news of it. Raises BadRequest M_USER_IN_USE, Forbidden.

        also: what else is written in the same transaction.
        """
        tokens: Tokens | None = None
        async with self.database.write() as tx:
            await self._insert(tx, command)
            if command.replaces_guest:
                # The guest's tokens would be a user's from now on, and whoever saw them has a user's rights.
                await self.sessions.end_all(tx, command.user_id, keep=wish.device_id)
            if wish.wants_login:
                opened = OpenSession(command.user_id, wish.device_id, wish.device_name, wish.refreshable)
                tokens = await self.sessions.open(tx, opened)
            if also is not None:
                await also(tx)
        return Registered(command.user_id, tokens)

    async def _insert(self, tx: Tx, command: CreateAccount) -> None:
        invitation = None
        if command.invitation_id is not None:
            invitation = await self.invitations.use(tx, command.invitation_id)
            if invitation is None:
                raise Forbidden("This registration token is no longer valid.")
        if invitation is not None and invitation.grants_admin:
            command = replace(command, is_admin=True)
        invited_by = None if invitation is None else invitation.created_by
        now_ms = self.clock.now_ms()
        insert = tables.upgrade_guest if command.replaces_guest else tables.insert_account
        if not await insert(tx, command, now_ms, invited_by):
            raise _in_use()
        for proof in command.proofs:
            owned = OwnThreepid(proof.threepid, proof.validated_ts, now_ms)
            if not await threepid_tables.insert_threepid(tx, command.user_id, owned):
                raise BadRequest("M_THREEPID_IN_USE", "This address belongs to another account.")
            await threepid_tables.delete_validations_of(tx, proof.threepid)
        if command.policies:
            await threepid_tables.insert_accepted_policies(tx, command.user_id, command.policies, now_ms)
        invite_to = [] if invitation is None else list(invitation.invite_to)
        await self.log.append(tx, AccountCreated(command.user_id, invite_to, invited_by))


def _in_use() -> BadRequest:
    return BadRequest("M_USER_IN_USE", "This user name is taken.")
