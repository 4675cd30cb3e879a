"""A house that sends mail, texts and asks identity servers, all of them real."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.edge.relay import Relay, a_relay, text_of
from tests.unit.server.accounts.threepids.outside import (
    IDENTITY,
    Desk,
    IdentityServer,
    Signature,
    a_desk,
    a_fetcher,
    an_identity_server,
)
from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.edge.mail import Mailer, MailSettings, TlsMode
from watchword.server.accounts.assembly import OutsideServices
from watchword.server.accounts.threepids.commands import ThreepidSettings
from watchword.server.accounts.threepids.identity import IdentityServers
from watchword.server.accounts.threepids.sms import SmsGateway

V3 = "/_matrix/client/v3"


@dataclass
class Town:
    """A house and the services around it."""

    house: Any
    relay: Relay
    gateway: Desk
    identity: IdentityServer

    async def link(self, count: int = 1) -> dict[str, str]:
        """The token of the link in the newest mail."""
        text = text_of(await self.relay.next_mail(count))
        found = re.search(r"submit_token\?sid=([\w-]+)&token=([\w-]+)", text)
        assert found is not None, text
        return {"sid": found[1], "token": found[2]}

    async def confirm(self, count: int = 1) -> None:
        """Open the newest link and press the button."""
        answer = await self.house.call("POST", SUBMIT, form=await self.link(count))
        assert answer.status == 200, answer.body

    async def ask(self, what: str, **body: Any) -> Any:
        """Ask for a message; what: `register`, `account/password` or `account/3pid`, and the medium."""
        asked = {"client_secret": "s3cret", "send_attempt": 1, **body}
        return await self.house.call("POST", f"{V3}/{what}/requestToken", asked)


SUBMIT = "/_watchword/client/v1/3pid/submit_token"


@pytest.fixture
async def towns(houses: Callable[..., Any]) -> AsyncIterator[Callable[..., Any]]:
    """Opens towns; codes_by_identity: whether the identity server sends codes instead of the gateway."""
    async with AsyncExitStack() as exits:

        async def open_town(
            *, codes_by_identity: bool = False, threepids: dict[str, Any] | None = None, **changed: Any
        ) -> Town:
            relay = await exits.enter_async_context(a_relay())
            gateway = await exits.enter_async_context(a_desk())
            identity = await exits.enter_async_context(an_identity_server())
            fetcher = await exits.enter_async_context(a_fetcher())
            sender = "Watchword <noreply@here.example>"
            settings = MailSettings("127.0.0.1", sender, "here.example", tls=TlsMode.NONE, port=relay.port)
            mailer = Mailer(settings, ManualClock(), SeededEntropy(99))
            running = asyncio.ensure_future(mailer.run())
            exits.push_async_callback(_stop, running)
            outside = OutsideServices(
                mailer,
                None if codes_by_identity else SmsGateway(fetcher, gateway.url + "/send", "gateway-token"),
                IdentityServers(fetcher, Signature(), {IDENTITY: identity.url}, IDENTITY, "our-token"),
            )
            wanted = ThreepidSettings(**{"email": True, "msisdn": True, **(threepids or {})})
            house = await houses(outside=outside, threepids=wanted, **changed)
            return Town(house, relay, gateway, identity)

        yield open_town


async def _stop(running: "asyncio.Future[None]") -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def town(towns: Callable[..., Any]) -> Town:
    opened: Town = await towns()
    return opened
