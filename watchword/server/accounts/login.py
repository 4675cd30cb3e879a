"""Logging in with a password, with a token, or as an application service; logging out."""

from dataclasses import dataclass

from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId, parse_device_id
from watchword.server.accounts.commands import AccountSettings, OpenSession, Refused, Tokens
from watchword.server.accounts.decide import device_name_refusal, login_flows, login_user_id
from watchword.server.accounts.login_tokens import LoginTokens
from watchword.server.accounts.password_check import PasswordCheck
from watchword.server.accounts.ports import Appservices, CrossSigningKeys
from watchword.server.accounts.sessions import Sessions
from watchword.server.accounts.tokens import locked_account, unknown_token
from watchword.storage import Database

_WRONG = "The user name or the password is wrong."


@dataclass(frozen=True)
class Logins:
    """Opens sessions for those who prove themselves, and ends them."""

    database: Database
    settings: AccountSettings
    sessions: Sessions
    password_check: PasswordCheck
    appservices: Appservices
    cross_signing: CrossSigningKeys
    tokens: LoginTokens

    def flows(self) -> list[dict[str, object]]:
        """The ways to log in. Spec: client-server-api#get_matrixclientv3login"""
        return login_flows(self.settings)

    async def log_in(self, request: Request, token: str | None) -> Tokens:
        """token: what stands in the Authorization header, for application services.

        Raises Forbidden M_FORBIDDEN or M_USER_DEACTIVATED, BadRequest, Unauthenticated M_USER_LOCKED, LimitExceeded.
        Spec: client-server-api#post_matrixclientv3login
        """
        match request.field("type", str):
            case "m.login.password" if self.settings.password_login:
                user_id = await self._by_password(request)
            case "m.login.token" if self.settings.login_tokens or self.settings.identity_providers:
                user_id = await self._by_token(request)
            case "m.login.application_service":
                user_id = await self._as_appservice(request, token)
            case _:
                raise BadRequest("M_UNKNOWN", "This type of login is not offered.")
        return await self._open(request, user_id)

    async def _by_password(self, request: Request) -> UserId:
        user_id = await self.password_check.named(request.json)
        if isinstance(user_id, Refused):
            raise user_id.error()
        password = request.field("password", str)
        account = await self.password_check.account(request, user_id, password)
        if account is None:
            named = await self.password_check.find(user_id)
            if named is not None and named.is_deactivated:
                raise Forbidden("This account has been deactivated.", "M_USER_DEACTIVATED")
            raise Forbidden(_WRONG)
        if account.is_locked:
            raise locked_account()
        return account.user_id

    async def _by_token(self, request: Request) -> UserId:
        user_id = await self.tokens.take(request.field("token", str))
        account = await self.password_check.find(user_id)
        if account is None:
            raise Forbidden("This token is not known, was used, or has expired.")
        if account.is_deactivated:
            raise Forbidden("This account has been deactivated.", "M_USER_DEACTIVATED")
        if account.is_locked:
            raise locked_account()
        return account.user_id

    async def _as_appservice(self, request: Request, token: str | None) -> UserId:
        appservice_id = None if token is None else self.appservices.id_of(token)
        if appservice_id is None:
            raise unknown_token()
        user_id = login_user_id(request.json, self.settings.server_name)
        if isinstance(user_id, Refused):
            raise user_id.error()
        account = await self.password_check.find(user_id)
        if account is None or account.is_deactivated:
            raise Forbidden("There is no such user.")
        if not self.appservices.may_register(appservice_id, account.user_id):
            raise BadRequest("M_EXCLUSIVE", "This user is outside the namespace of the application service.")
        return account.user_id

    async def _open(self, request: Request, user_id: UserId) -> Tokens:
        device_id: DeviceId | None = None
        if request.field_or_none("device_id", str) is not None:
            device_id = request.field_parsed("device_id", parse_device_id)
            if await self.cross_signing.is_cross_signing_key(user_id, device_id):
                raise Forbidden("This device ID is the name of a cross-signing key.")
        name = request.field_or_none("initial_device_display_name", str)
        refused = device_name_refusal(name)
        if refused is not None:
            raise refused.error()
        command = OpenSession(user_id, device_id, name, request.field_or("refresh_token", bool, False))
        async with self.database.write() as tx:
            return await self.sessions.open(tx, command)

    async def log_out(self, requester: Requester) -> None:
        """End the requester's device. Spec: client-server-api#post_matrixclientv3logout"""
        if requester.device_id is None:
            return
        async with self.database.write() as tx:
            await self.sessions.end(tx, requester.user_id, [requester.device_id])

    async def log_out_everywhere(self, requester: Requester) -> None:
        """End every device of the requester. Spec: client-server-api#post_matrixclientv3logoutall"""
        async with self.database.write() as tx:
            await self.sessions.end_all(tx, requester.user_id)
