"""Whose password is this. Shared by login and interactive authentication; counts failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base.errors import LimitExceeded
from watchword.edge.request import Request
from watchword.protocol.ids import ServerName, UserId
from watchword.server.accounts import tables
from watchword.server.accounts.commands import Account, Refused
from watchword.server.accounts.decide import login_user_id
from watchword.server.accounts.passwords import FailedLogins, Passwords
from watchword.server.accounts.threepids import tables as threepid_tables
from watchword.server.accounts.threepids.decide import identified
from watchword.storage import Database


@dataclass(frozen=True)
class PasswordCheck:
    """Looks the account up and asks the hasher; unknown users take as long as known ones."""

    database: Database
    passwords: Passwords
    failures: FailedLogins
    server_name: ServerName

    async def named(self, body: Mapping[str, Any]) -> UserId | Refused | None:
        """Whom a login, or a stage, names: by user ID, e-mail address or telephone number; None for nobody of this server.

        Spec: client-server-api#identifier-types
        """
        threepid = identified(body)
        if threepid is None:
            return login_user_id(body, self.server_name)
        if isinstance(threepid, Refused):
            return threepid
        async with self.database.read() as tx:
            return await threepid_tables.owner(tx, threepid)

    async def account(self, request: Request, user_id: UserId | None, password: str) -> Account | None:
        """The account whose password it is, or None. user_id None: nobody here. Raises LimitExceeded."""
        name = user_id or ""
        self.failures.check(name, request.client_network)
        # Noted before the slow part, so that guesses made at the same time count as well.
        self.failures.note(name, request.client_network)
        found = await self.find(user_id)
        try:
            is_correct = await self.passwords.is_correct(None if found is None else found.password_hash, password)
        except LimitExceeded:
            self.failures.take_back(name, request.client_network)
            raise
        if found is None or not is_correct or found.is_deactivated:
            return None
        self.failures.take_back(name, request.client_network)
        return found

    async def find(self, user_id: UserId | None) -> Account | None:
        """The account of a name."""
        if user_id is None:
            return None
        async with self.database.read() as tx:
            return await tables.account(tx, user_id)
