"""A mail relay to test against: aiosmtpd on this loop, which keeps what it is given."""

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Relay:
    """What came, and how the next ones are answered. answers: SMTP replies to DATA, one after the other; then 250."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused_recipient: str | None = None
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(self, _s: SMTP, _x: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        if self.refused_recipient is not None:
            self.arrived.set()
            return self.refused_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.arrived.set()
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 Taken"

    async def until_tried(self) -> None:
        """Wait for the next attempt."""
        async with asyncio.timeout(10):
            await self.arrived.wait()
        self.arrived.clear()

    async def next_mail(self, count: int = 1) -> EmailMessage:
        """Wait until so many mails came; the last one."""
        async with asyncio.timeout(10):
            while len(self.mails) < count:
                await self.arrived.wait()
                self.arrived.clear()
        return self.mails[count - 1]


def text_of(mail: EmailMessage) -> str:
    """The plain part."""
    part = mail.get_body(("plain",))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content


@asynccontextmanager
async def a_relay(
    tls: ssl.SSLContext | None = None, *, starttls: ssl.SSLContext | None = None, password: bytes | None = None
) -> AsyncIterator[Relay]:
    """A relay at 127.0.0.1."""
    relay = Relay()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        relay.logins.append((data.login, data.password))
        return AuthResult(success=data.password == password, handled=False)

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            # It does not know that the socket may be protected already.
            warnings.simplefilter("ignore")
            return server_protocol()

    def server_protocol() -> SMTP:
        return SMTP(
            relay,
            hostname="relay.example",
            ident="Test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=password is not None,
            auth_require_tls=False,
            authenticator=authenticate if password is not None else None,
            enable_SMTPUTF8=True,
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await server.wait_closed()
