"""Application services put together: the one object from which the composition root takes its parts."""

import asyncio
import logging
from dataclasses import dataclass

from watchword.base.errors import BadRequest
from watchword.protocol.ids import ServerName
from watchword.server.accounts.commands import CreateAccount
from watchword.server.accounts.registration import Registrar, Registration
from watchword.server.appservices.authority import Authority
from watchword.server.appservices.compose import Composer, Sources
from watchword.server.appservices.delivery import CURSOR_PREFIX, Delivery, Ground
from watchword.server.appservices.interest import Interest
from watchword.server.appservices.queries import Queries

logger = logging.getLogger(__name__)

_NO_LOGIN = Registration(None, None, None, None, wants_login=False, refreshable=False)


@dataclass(frozen=True)
class Appservices:
    """The parts. start() once before the doors open; run() is for the server's task group."""

    authority: Authority
    queries: Queries
    deliveries: tuple[Delivery, ...]
    registrar: Registrar
    ground: Ground

    async def start(self) -> None:
        """Make the services' own users; forget how far services were that are no longer registered."""
        for registration in self.authority.registrations:
            if await self.authority.accounts.account(registration.sender) is None:
                command = CreateAccount(registration.sender, None, appservice_id=registration.appservice_id)
                try:
                    await self.registrar.create(command, _NO_LOGIN)
                except BadRequest as error:
                    logger.warning("A user was not made.", extra={"user_id": registration.sender, "cause": error.errcode})
        names = {CURSOR_PREFIX + registration.appservice_id for registration in self.authority.registrations}
        async with self.ground.database.write() as tx:
            for name in await self.ground.log.cursors(tx, CURSOR_PREFIX):
                if name not in names:
                    # The log would be kept for it for ever.
                    await self.ground.log.drop_cursor(tx, name)

    async def run(self) -> None:
        """Deliver to all of them, for ever; each on its own."""
        async with asyncio.TaskGroup() as group:
            for delivery in self.deliveries:
                group.create_task(delivery.run())


def assemble_appservices(
    queries: Queries, sources: Sources, ground: Ground, registrar: Registrar, server_name: ServerName
) -> Appservices:
    """Build everything of this feature but what accounts are built with: the queries and, in them, the authority."""
    deliveries = [
        Delivery(registration, Composer(registration, Interest(registration, sources.rooms, server_name), sources), ground)
        for registration in queries.authority.registrations
        if registration.url is not None
    ]
    return Appservices(queries.authority, queries, tuple(deliveries), registrar, ground)
