"""Whose token it is, whom it speaks for, and whose a name is. Fits the `Appservices` port of accounts.

Spec: application-service-api#identity-assertion
"""

import hashlib
from collections.abc import Sequence

from watchword.base.errors import BadRequest, Forbidden, ProtocolError
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId, RoomAlias, ServerName, UserId, domain_of, parse_device_id, parse_user_id
from watchword.server.accounts.tokens import locked_account
from watchword.server.appservices.ports import Accounts
from watchword.server.appservices.registration import Registration

_OLD_DEVICE_ID = "org.matrix.msc3202.device_id"


class Authority:
    """Knows every registration. accounts: set once they are built, for they are built with this."""

    accounts: Accounts

    def __init__(self, registrations: Sequence[Registration], server_name: ServerName) -> None:
        self.registrations = registrations
        self._server_name = server_name
        self._by_digest = {registration.token_digest: registration for registration in registrations}
        self._by_id = {registration.appservice_id: registration for registration in registrations}
        # No session of a user has such a number.
        self._numbers = {name: -1 - number for number, name in enumerate(sorted(self._by_id))}

    def registration(self, appservice_id: str) -> Registration | None:
        """The service of this ID."""
        return self._by_id.get(appservice_id)

    def _of_token(self, token: str) -> Registration | None:
        if not self._by_digest:
            return None
        return self._by_digest.get(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())

    # Appservices, for accounts

    def id_of(self, token: str) -> str | None:
        """The application service that owns this token."""
        registration = self._of_token(token)
        return None if registration is None else registration.appservice_id

    async def requester(self, request: Request, token: str) -> Requester:
        """Who an application service says it is: `user_id` and `device_id` of the query, else its own user.

        Raises Forbidden outside its namespace, BadRequest M_UNKNOWN_DEVICE, Unauthenticated M_USER_LOCKED.
        """
        registration = self._of_token(token)
        assert registration is not None, "the caller asked id_of"
        user_id = self._asserted_user(request, registration)
        account = await self.accounts.account(user_id)
        if account is None or account.is_deactivated:
            raise Forbidden("The application service has not registered this user.")
        if account.is_locked:
            raise locked_account()
        return Requester(
            user_id=user_id,
            device_id=await self._asserted_device(request, user_id),
            token_id=self._numbers[registration.appservice_id],
            kind=Kind.APPSERVICE,
            is_suspended=account.is_suspended,
            appservice_id=registration.appservice_id,
            # "The sender is excluded."
            rate_limited=registration.rate_limited and user_id != registration.sender,
        )

    def _asserted_user(self, request: Request, registration: Registration) -> UserId:
        named = request.query_one("user_id")
        if named is None:
            return registration.sender
        try:
            user_id = parse_user_id(named)
        except ProtocolError as error:
            raise BadRequest("M_INVALID_PARAM", "user_id is not a user ID.") from error
        if domain_of(user_id) != self._server_name or not registration.owns_user(user_id):
            raise Forbidden("This user is outside the namespace of the application service.", "M_EXCLUSIVE")
        return user_id

    async def _asserted_device(self, request: Request, user_id: UserId) -> DeviceId | None:
        device_id = request.query_parsed("device_id", parse_device_id)
        # COMPAT(bridges with encryption of before v1.17, until: none of them is left)
        device_id = device_id or request.query_parsed(_OLD_DEVICE_ID, parse_device_id)
        if device_id is not None and await self.accounts.device(user_id, device_id) is None:
            raise BadRequest("M_UNKNOWN_DEVICE", "This user has no such device.")
        return device_id

    def may_register(self, appservice_id: str, user_id: UserId) -> bool:
        """Whether a user lies in its namespace."""
        registration = self._by_id.get(appservice_id)
        return registration is not None and registration.owns_user(user_id)

    def exclusive_owner(self, user_id: UserId) -> str | None:
        """The application service that claims this user for itself alone."""
        for registration in self.registrations:
            if registration.owns_user(user_id, exclusively=True):
                return registration.appservice_id
        return None

    # For rooms

    def may_name(self, alias: RoomAlias, appservice_id: str | None) -> bool:
        """Whether somebody may take an alias: not one that another service has to itself."""
        return all(
            registration.appservice_id == appservice_id or not registration.wants_alias(alias, exclusively=True)
            for registration in self.registrations
        )
