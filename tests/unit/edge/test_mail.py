"""Mail leaves through the operator's relay: protected, retried, bounded, and without a trace in the log."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.edge.relay import Relay, a_relay, text_of
from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import LimitExceeded
from watchword.edge.mail import Mail, Mailer, MailSettings, TlsMode

HELLO = Mail("bob@there.example", "Hello", "Plain words.", "<p>Rich words.</p>")


def settings(port: int, **changed: Any) -> MailSettings:
    values: dict[str, Any] = {"tls": TlsMode.NONE, "port": port, **changed}
    return MailSettings("127.0.0.1", "Watchword <noreply@here.example>", "here.example", **values)


@asynccontextmanager
async def running(relay: Relay, **changed: Any) -> AsyncIterator[tuple[Mailer, ManualClock]]:
    clock = ManualClock()
    mailer = Mailer(settings(relay.port, **changed), clock, SeededEntropy(1))
    task = asyncio.ensure_future(mailer.run())
    try:
        yield mailer, clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        await asyncio.sleep(0.01)
        while not reached():  # noqa: ASYNC110 (a delivery has no event that tells its end)
            await asyncio.sleep(0.005)


async def settled(mailer: Mailer, count: int) -> None:
    """Until so many mails are left and none is under way."""
    await until(lambda: len(mailer) == count and not mailer.active)


async def test_a_mail_arrives_in_both_forms_with_its_headers() -> None:
    async with a_relay() as relay, running(relay) as (mailer, _):
        mailer.submit(HELLO)
        mail = await relay.next_mail()
    assert (mail["From"], mail["To"], mail["Subject"]) == ("Watchword <noreply@here.example>", "bob@there.example", "Hello")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@here.example>")
    assert text_of(mail).strip() == "Plain words."
    rich = mail.get_body(("html",))
    assert rich is not None
    assert "Rich words." in rich.get_content()
    assert relay.recipients == [["bob@there.example"]]


async def test_a_comma_in_an_address_makes_no_second_recipient() -> None:
    async with a_relay() as relay, running(relay) as (mailer, _):
        mailer.submit(Mail("a,eve@evil.example,b@there.example", "Hello", "x"))
        await settled(mailer, 0)
    assert all(len(recipients) == 1 for recipients in relay.recipients)


async def test_a_subject_with_a_line_break_is_not_sent() -> None:
    async with a_relay() as relay, running(relay) as (mailer, _):
        mailer.submit(Mail("bob@there.example", "Hello\nBcc: eve@evil.example", "x"))
        await settled(mailer, 0)
    assert relay.mails == []


async def test_temporary_failures_are_tried_again_later() -> None:
    async with a_relay() as relay, running(relay) as (mailer, clock):
        relay.answers = ["451 Come again", "421 Busy"]
        mailer.submit(HELLO)
        await settled(mailer, 1)
        clock.advance(4_999)
        await asyncio.sleep(0.02)
        assert relay.mails == []
        clock.advance(1)
        await until(lambda: not relay.answers and not mailer.active)
        clock.advance(30_000)
        await relay.next_mail()


@pytest.mark.parametrize("refusal", ["550 No such person", "554 No"])
async def test_what_is_refused_for_good_is_dropped(refusal: str) -> None:
    async with a_relay() as relay, running(relay) as (mailer, _):
        relay.answers = [refusal]
        mailer.submit(HELLO)
        await settled(mailer, 0)
        assert relay.mails == []


async def test_a_refused_recipient_counts_by_its_code() -> None:
    async with a_relay() as relay, running(relay) as (mailer, _):
        relay.refused_recipient = "450 Greylisted"
        mailer.submit(HELLO)
        await settled(mailer, 1)
        relay.refused_recipient = "550 Unknown"
        mailer.submit(HELLO)
        await settled(mailer, 1)


async def test_a_relay_that_is_down_is_tried_until_the_mail_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async with a_relay() as relay:
        port = relay.port
    gone = Relay(port=port)
    async with running(gone) as (mailer, clock):
        mailer.submit(HELLO)
        for _ in range(6):
            await until(lambda: not mailer.active)
            clock.advance(3_600_000)
        await settled(mailer, 0)
    assert "A mail was given up." in caplog.text


async def test_the_queue_is_bounded() -> None:
    mailer = Mailer(settings(1), ManualClock(), SeededEntropy(1))
    for _ in range(limits.mails_waiting_max):
        mailer.submit(HELLO)
    with pytest.raises(LimitExceeded):
        mailer.submit(HELLO)


async def test_tls_from_the_first_byte_with_credentials(authority: Any) -> None:
    tls: ssl.SSLContext = authority.context("127.0.0.1")
    async with (
        a_relay(tls, password=b"secret") as relay,
        running(relay, tls=TlsMode.TLS, user="mailer", password="secret", extra_ca_file=authority.file) as (
            mailer,
            _,
        ),
    ):
        mailer.submit(HELLO)
        await relay.next_mail()
    assert relay.logins == [(b"mailer", b"secret")]


async def test_a_relay_with_a_wrong_certificate_gets_no_mail(authority: Any) -> None:
    tls: ssl.SSLContext = authority.context("127.0.0.1")
    async with a_relay(tls) as relay, running(relay, tls=TlsMode.TLS) as (mailer, _):
        mailer.submit(HELLO)
        await settled(mailer, 1)
    assert relay.mails == []
    async with (
        a_relay(tls) as relay,
        running(relay, tls=TlsMode.TLS, verify_certificates=False) as (other, _),
    ):
        other.submit(HELLO)
        await relay.next_mail()


async def test_a_relay_without_starttls_gets_no_mail_when_it_is_asked_for() -> None:
    async with a_relay() as relay, running(relay, tls=TlsMode.STARTTLS) as (mailer, _):
        mailer.submit(HELLO)
        await until(lambda: not mailer.active)
    assert relay.mails == []


async def test_wrong_credentials_keep_the_mail_waiting() -> None:
    async with a_relay(password=b"secret") as relay, running(relay, user="mailer", password="wrong") as (mailer, _):
        mailer.submit(HELLO)
        await settled(mailer, 1)


async def test_the_log_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "watchword")
    async with a_relay() as relay, running(relay) as (mailer, _):
        relay.answers = ["550 bob@there.example is unknown"]
        mailer.submit(HELLO)
        await settled(mailer, 0)
    ours = [record for record in caplog.records if record.name.startswith("watchword")]
    assert ours
    assert not any("bob" in str(record.__dict__) or "Plain words" in str(record.__dict__) for record in ours)


async def test_the_connection_is_upgraded_where_the_relay_offers_it(authority: Any) -> None:
    tls: ssl.SSLContext = authority.context("127.0.0.1")
    async with (
        a_relay(starttls=tls) as relay,
        running(relay, tls=TlsMode.STARTTLS, extra_ca_file=authority.file) as (mailer, _),
    ):
        mailer.submit(HELLO)
        await relay.next_mail()
