"""Outgoing mail: a bounded queue in memory, delivered to the one relay that the operator named, over TLS.

What cannot be delivered now is tried again for most of an hour; what the relay refuses for good is dropped. A restart
forgets the queue: whoever waits for a mail asks for it again. Logs carry counts and the relay's codes, never an address,
a subject or a body. Deliberately absent: finding the relays of other domains, receiving, and what a mail says.
"""

import asyncio
import heapq
import itertools
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from enum import Enum

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import LimitExceeded

logger = logging.getLogger(__name__)

_PAUSES_MS: Sequence[int] = (5_000, 30_000, 120_000, 600_000, 1_800_000)
_DEFAULT_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_FULL_PAUSE_MS = 60_000


class TlsMode(Enum):
    """How the way to the relay is protected."""

    NONE = "none"
    """Not at all: for a relay on the same machine."""
    STARTTLS = "starttls"
    """Upgraded after the greeting; refused if the relay does not offer it."""
    TLS = "tls"
    """From the first byte."""


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The relay. sender: "Name <address>" or an address. local_name: what we call ourselves.

    port: None is the usual one of the mode. password: None sends no credentials.
    """

    host: str
    sender: str
    local_name: str
    tls: TlsMode = TlsMode.STARTTLS
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    verify_certificates: bool = True
    extra_ca_file: str | None = None
    timeout_ms: int = limits.mail_timeout_ms


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person. html: the same again for those who like it. headers: more of them, name and value."""

    to: str
    subject: str
    text: str
    html: str | None = None
    headers: Sequence[tuple[str, str]] = ()


class Delivery(Enum):
    """What became of one attempt."""

    DONE = "done"
    LATER = "later"
    NEVER = "never"


class Mailer:
    """The queue and its deliveries. Run `run` once."""

    def __init__(self, settings: MailSettings, clock: Clock, entropy: Entropy) -> None:
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._waiting: list[tuple[int, int, int, Mail]] = []
        self._order = itertools.count()
        self._active = 0
        self._wake = asyncio.Event()
        self._tls: ssl.SSLContext | None = None

    def __len__(self) -> int:
        return len(self._waiting) + self._active

    @property
    def active(self) -> int:
        """How many mails are on their way now."""
        return self._active

    def submit(self, mail: Mail) -> None:
        """Queue a mail. Raises LimitExceeded if too many wait already."""
        if len(self) >= limits.mails_waiting_max:
            raise LimitExceeded(_FULL_PAUSE_MS, "Too much mail is waiting to be sent.")
        self._put(mail, 0, 0)

    async def run(self) -> None:
        """Deliver what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                now_ms = self._clock.monotonic_ms()
                while self._waiting and self._waiting[0][0] <= now_ms and self._active < limits.mails_active_max:
                    _, _, attempt, mail = heapq.heappop(self._waiting)
                    self._active += 1
                    group.create_task(self._deliver(mail, attempt))
                await self._something_to_do(now_ms)

    async def _something_to_do(self, now_ms: int) -> None:
        if not self._waiting or self._active >= limits.mails_active_max:
            await self._wake.wait()
            return
        forget = self._clock.call_later(self._waiting[0][0] - now_ms, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            forget()

    def _put(self, mail: Mail, attempt: int, pause_ms: int) -> None:
        heapq.heappush(self._waiting, (self._clock.monotonic_ms() + pause_ms, next(self._order), attempt, mail))
        self._wake.set()

    async def _deliver(self, mail: Mail, attempt: int) -> None:
        try:
            delivery = await self._attempt(mail)
        finally:
            self._active -= 1
            self._wake.set()
        if delivery is Delivery.LATER:
            if attempt < len(_PAUSES_MS):
                self._put(mail, attempt + 1, _PAUSES_MS[attempt])
            else:
                logger.error("A mail was given up.", extra={"attempts": attempt + 1})

    async def _attempt(self, mail: Mail) -> Delivery:
        # Imported here: a server that sends no mail does not pay for the library.
        import aiosmtplib

        settings = self._settings
        try:
            await aiosmtplib.send(
                self._message(mail),
                sender=parseaddr(settings.sender)[1],
                recipients=[mail.to],
                hostname=settings.host,
                port=settings.port or _DEFAULT_PORTS[settings.tls.value],
                username=settings.user,
                password=settings.password,
                local_hostname=settings.local_name,
                timeout=settings.timeout_ms / 1000,
                use_tls=settings.tls is TlsMode.TLS,
                start_tls=settings.tls is TlsMode.STARTTLS,
                tls_context=None if settings.tls is TlsMode.NONE else self._tls_context(),
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _after([refused.code for refused in error.recipients])
        except aiosmtplib.SMTPAuthenticationError as error:
            # The operator can mend this while the mail waits.
            logger.error("The mail relay refused our credentials.", extra={"code": error.code})  # noqa: TRY400
            return Delivery.LATER
        except aiosmtplib.SMTPResponseException as error:
            return _after([error.code])
        except aiosmtplib.SMTPNotSupported:
            logger.warning("The mail relay cannot carry a mail.")
            return Delivery.NEVER
        except (aiosmtplib.SMTPException, OSError) as error:
            logger.warning("The mail relay could not be reached.", extra={"cause": type(error).__name__})
            return Delivery.LATER
        except ValueError:
            logger.warning("A mail could not be written.")
            return Delivery.NEVER
        return Delivery.DONE

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        local, _, domain = mail.to.rpartition("@")
        # As an address, not as text: a comma in it must not make two of it.
        message["To"] = Address(username=local, domain=domain)
        message["Subject"] = mail.subject
        message["Date"] = formatdate(self._clock.now_ms() / 1000)
        host = parseaddr(self._settings.sender)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{self._entropy.token(18)}@{host}>"
        message["Auto-Submitted"] = "auto-generated"
        for name, value in mail.headers:
            message[name] = value
        message.set_content(mail.text)
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html")
        return message

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._settings.extra_ca_file is not None:
                context.load_verify_locations(cafile=self._settings.extra_ca_file)
            if not self._settings.verify_certificates:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._tls = context
        return self._tls


def _after(codes: Sequence[int]) -> Delivery:
    """A relay's refusal: 4xx means come again, anything else means never."""
    is_temporary = any(400 <= code < 500 for code in codes)
    logger.warning("The mail relay refused a mail.", extra={"codes": sorted(set(codes))})
    return Delivery.LATER if is_temporary else Delivery.NEVER
