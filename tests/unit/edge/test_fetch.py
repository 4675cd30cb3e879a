import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import DnsFailed, SrvRecord, StaticResolver
from watchword.edge.fetch import Failure, Fetched, Fetcher, FetchFailed, Outgoing

LOOPBACK = AddressPolicy(("127.0.0.0/8",))
NAMES = StaticResolver({"a.example": ["127.0.0.1"], "b.example": ["127.0.0.1"], "inside.example": ["10.0.0.1", "::1"]})

Start = Callable[..., Awaitable[int]]


@pytest.fixture
async def fetching(authority: Any) -> AsyncIterator[Callable[..., Fetcher]]:
    made: list[Fetcher] = []

    def make(policy: AddressPolicy = LOOPBACK, **more: Any) -> Fetcher:
        given: dict[str, Any] = {"plain_http": True, "extra_ca_files": (authority.file,), **more}
        made.append(Fetcher(given.pop("resolver", NAMES), policy, **given))
        return made[-1]

    yield make
    for fetcher in made:
        await fetcher.close()
    await asyncio.sleep(0)


def says(*answers: bytes, then_wait: bool = False, seen: list[bytes] | None = None) -> Callable[..., Awaitable[None]]:
    """A server that reads a request's head for each answer and sends the answer as it stands."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(head)
            writer.write(answer)
            await writer.drain()
        if then_wait:
            await asyncio.sleep(60)

    return respond


def ok(body: bytes = b"{}", *headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body))


def moved(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


async def failure(fetching: Awaitable[Fetched]) -> Failure:
    with pytest.raises(FetchFailed) as failed:
        await fetching
    return failed.value.failure


async def test_an_answer_comes_whole(fetching: Any, peer: Start) -> None:
    port = await peer(says(ok(b"hello", b"X-Thing: yes")))
    answer = await fetching().fetch(Outgoing("GET", f"http://a.example:{port}/x"))
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (200, b"hello", "yes")


async def test_the_target_is_sent_as_it_is_written(fetching: Any, peer: Start) -> None:
    seen: list[bytes] = []
    port = await peer(says(ok(), seen=seen))
    await fetching().fetch(Outgoing("PUT", f"http://a.example:{port}/send/%21a%3Ab/x%2Fy?z=%7E+%20", body=b"{}"))
    assert seen[0].startswith(b"PUT /send/%21a%3Ab/x%2Fy?z=%7E+%20 HTTP/1.1\r\n")


async def test_the_environment_chooses_no_proxy(fetching: Any, peer: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    port = await peer(says(ok()))
    assert (await fetching().fetch(Outgoing("GET", f"http://a.example:{port}/"))).status == 200


async def test_cookies_are_not_kept(fetching: Any, peer: Start) -> None:
    seen: list[bytes] = []
    port = await peer(says(ok(b"{}", b"Set-Cookie: a=b"), ok(), seen=seen))
    fetcher = fetching()
    for _ in range(2):
        await fetcher.fetch(Outgoing("GET", f"http://a.example:{port}/"))
    assert b"cookie" not in seen[1].lower()


# JSON


async def test_a_json_object_is_decoded(fetching: Any, peer: Start) -> None:
    port = await peer(says(ok(b'{"a":12345678901234567890123}')))
    assert await fetching().fetch_json(Outgoing("GET", f"http://a.example:{port}/")) == {"a": 12345678901234567890123}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"<html>", b"[" * 100_000])
async def test_what_is_no_json_object_is_garbled(fetching: Any, peer: Start, body: bytes) -> None:
    port = await peer(says(ok(body)))
    assert await failure(fetching().fetch_json(Outgoing("GET", f"http://a.example:{port}/"))) is Failure.GARBLED


async def test_a_refusal_carries_what_backing_off_needs(fetching: Any, peer: Start) -> None:
    body = b'{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":5}'
    port = await peer(says(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n" % len(body) + body))
    with pytest.raises(FetchFailed) as failed:
        await fetching().fetch_json(Outgoing("GET", f"http://a.example:{port}/", peer="b.example"))
    error = failed.value
    assert (error.server_name, error.status, error.errcode, error.retry_after_ms) == (
        "b.example",
        429,
        "M_LIMIT_EXCEEDED",
        7000,
    )


@pytest.mark.parametrize(
    ("body", "errcode", "retry"),
    [(b"<html>", None, None), (b'{"errcode":7,"retry_after_ms":"x"}', None, None), (b'{"retry_after_ms":5}', None, 5)],
)
async def test_a_refusal_may_hold_nonsense(fetching: Any, peer: Start, body: bytes, errcode: object, retry: object) -> None:
    port = await peer(says(b"HTTP/1.1 502 No\r\nRetry-After: Tue\r\nContent-Length: %d\r\n\r\n" % len(body) + body))
    with pytest.raises(FetchFailed) as failed:
        await fetching().fetch_json(Outgoing("GET", f"http://a.example:{port}/"))
    assert (failed.value.status, failed.value.errcode, failed.value.retry_after_ms) == (502, errcode, retry)


# Bounds


async def test_an_endless_body_is_cut_off(fetching: Any, peer: Start) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    port = await peer(endless)
    assert (
        await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", bytes_max=1_000_000))) is Failure.TOO_LARGE
    )


async def test_a_body_that_is_declared_too_large_is_not_read(fetching: Any, peer: Start) -> None:
    port = await peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n", then_wait=True))
    assert (
        await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", bytes_max=1_000_000))) is Failure.TOO_LARGE
    )


async def test_a_bomb_is_measured_unpacked(fetching: Any, peer: Start) -> None:
    port = await peer(says(ok(gzip.compress(b"\0" * 20_000_000), b"Content-Encoding: gzip")))
    assert (
        await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", bytes_max=1_000_000))) is Failure.TOO_LARGE
    )


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
async def test_a_server_that_stops_talking_is_given_up(fetching: Any, peer: Start, start: bytes) -> None:
    port = await peer(says(start, then_wait=True))
    assert await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", timeout_ms=200))) is Failure.TIMEOUT


async def test_a_server_that_drips_is_given_up(fetching: Any, peer: Start) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    port = await peer(drip)
    assert await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", timeout_ms=300))) is Failure.TIMEOUT


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\x00\x02\x02\x46garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
    ],
)
async def test_garbage_is_a_failure_like_any_other(fetching: Any, peer: Start, answer: bytes) -> None:
    port = await peer(says(answer))
    why = await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", timeout_ms=2_000)))
    assert why in (Failure.GARBLED, Failure.UNREACHABLE)


async def test_nobody_there_is_unreachable(fetching: Any) -> None:
    assert await failure(fetching().fetch(Outgoing("GET", "http://a.example:1/"))) is Failure.UNREACHABLE


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "//a.example/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "http://",
        "http://a.example:99999/",
        "http://u:p@a.example/",
    ],
)
async def test_only_http_is_spoken(fetching: Any, url: str) -> None:
    assert await failure(fetching().fetch(Outgoing("GET", url))) in (Failure.GARBLED, Failure.REDIRECT)


@pytest.mark.parametrize("url", ["http://a.example/a b", "http://a.example/a\r\nX: y", "http://a.example/\0"])
async def test_a_url_cannot_smuggle_a_header(fetching: Any, url: str) -> None:
    assert await failure(fetching().fetch(Outgoing("GET", url))) is Failure.GARBLED


async def test_plain_http_is_refused_unless_allowed(fetching: Any) -> None:
    assert await failure(fetching(plain_http=False).fetch(Outgoing("GET", "http://a.example/"))) is Failure.REDIRECT


# Addresses


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "10.0.0.1", "[::ffff:127.0.0.1]", "[fe80::1]", "169.254.169.254", "inside.example", "a.example"],
)
async def test_private_addresses_are_refused(fetching: Any, host: str) -> None:
    assert await failure(fetching(AddressPolicy()).fetch(Outgoing("GET", f"http://{host}:80/"))) is Failure.ADDRESS


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1"])
async def test_addresses_in_disguise_reach_nobody(fetching: Any, host: str) -> None:
    assert await failure(fetching(AddressPolicy()).fetch(Outgoing("GET", f"http://{host}:80/"))) in (
        Failure.NAME,
        Failure.ADDRESS,
    )


async def test_a_name_that_changes_its_address_does_not_get_through(fetching: Any, peer: Start) -> None:
    class Rebinding:
        """Public when it is checked, private when it is used: the check is where the socket is made."""

        async def addresses(self, host: str) -> list[str]:
            return ["93.184.216.34"]

        async def srv(self, name: str) -> list[SrvRecord]:
            return []

    fetcher = fetching(AddressPolicy(), resolver=Rebinding())
    session = await fetcher._opened()
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        session._socket((2, 1, 6, "", ("127.0.0.1", 80)))


async def test_a_name_without_addresses_is_said_to_be_so(fetching: Any) -> None:
    assert await failure(fetching().fetch(Outgoing("GET", "http://nowhere.example/"))) is Failure.NAME


async def test_dns_that_fails_is_a_failure_of_the_name(fetching: Any) -> None:
    class Failing:
        async def addresses(self, host: str) -> list[str]:
            raise DnsFailed(host, "no")

        async def srv(self, name: str) -> list[SrvRecord]:
            raise DnsFailed(name, "no")

    assert await failure(fetching(resolver=Failing()).fetch(Outgoing("GET", "http://a.example/"))) is Failure.NAME


# Redirects


async def test_redirects_are_followed_as_often_as_allowed(fetching: Any, peer: Start) -> None:
    port = await peer(says(moved("/two"), ok(b"there")))
    first = await peer(says(moved(f"http://b.example:{port}/one"), moved(f"http://b.example:{port}/one")))
    answer = await fetching().fetch(Outgoing("GET", f"http://a.example:{first}/", redirects_max=2))
    assert (answer.body, answer.url) == (b"there", f"http://b.example:{port}/two")


async def test_a_loop_of_redirects_ends(fetching: Any, peer: Start) -> None:
    port = await peer(says(*[moved("/again")] * 10))
    assert await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", redirects_max=5))) is Failure.REDIRECT


async def test_a_redirect_that_nobody_asked_to_follow_is_an_answer(fetching: Any, peer: Start) -> None:
    port = await peer(says(moved("/x"), moved("/x")))
    fetcher = fetching()
    assert (await fetcher.fetch(Outgoing("GET", f"http://a.example:{port}/"))).status == 302
    assert (await fetcher.fetch(Outgoing("POST", f"http://a.example:{port}/", redirects_max=3))).status == 302


async def test_a_redirect_to_a_private_address_is_refused(fetching: Any, peer: Start) -> None:
    port = await peer(says(*[moved(to) for to in ("http://10.0.0.1/", "http://inside.example/", "http://[::1]/")]))
    fetcher = fetching()
    for _ in range(3):
        assert await failure(fetcher.fetch(Outgoing("GET", f"http://a.example:{port}/", redirects_max=3))) is Failure.ADDRESS


@pytest.mark.parametrize(
    "to", ["ftp://a.example/", "file:///etc/passwd", "javascript:1", "http://u:p@a.example/", "http://[/", "http://a:b/"]
)
async def test_a_redirect_to_elsewhere_is_refused(fetching: Any, peer: Start, to: str) -> None:
    port = await peer(says(moved(to)))
    why = await failure(fetching().fetch(Outgoing("GET", f"http://a.example:{port}/", redirects_max=3)))
    assert why in (Failure.REDIRECT, Failure.GARBLED)


async def test_what_is_private_stays_at_its_origin(fetching: Any, peer: Start) -> None:
    seen: list[bytes] = []
    second = await peer(says(ok(), seen=seen))
    first = await peer(says(moved("/same"), moved(f"http://b.example:{second}/other"), seen=seen))
    headers = {"Authorization": "Bearer abc", "X-Kept": "yes"}
    await fetching().fetch(Outgoing("GET", f"http://a.example:{first}/", headers=headers, redirects_max=3))
    assert [b"Bearer abc" in head for head in seen] == [True, True, False]
    assert all(b"X-Kept" in head for head in seen)


async def test_a_redirect_from_https_to_http_is_refused(fetching: Any, peer: Start, authority: Any) -> None:
    port = await peer(says(moved("http://a.example/")), authority.context("a.example"))
    assert await failure(fetching().fetch(Outgoing("GET", f"https://a.example:{port}/", redirects_max=1))) is Failure.REDIRECT


# Certificates


async def test_a_certificate_for_the_name_is_accepted(fetching: Any, peer: Start, authority: Any) -> None:
    port = await peer(says(ok()), authority.context("a.example"))
    assert (await fetching().fetch(Outgoing("GET", f"https://a.example:{port}/"))).status == 200


async def test_a_certificate_for_another_name_is_refused(fetching: Any, peer: Start, authority: Any) -> None:
    port = await peer(says(ok()), authority.context("b.example"))
    assert await failure(fetching().fetch(Outgoing("GET", f"https://a.example:{port}/"))) is Failure.CERTIFICATE


async def test_a_certificate_of_an_unknown_authority_is_refused(fetching: Any, peer: Start, authority: Any) -> None:
    port = await peer(says(ok()), authority.context("a.example"))
    fetcher = fetching(extra_ca_files=())
    assert await failure(fetcher.fetch(Outgoing("GET", f"https://a.example:{port}/"))) is Failure.CERTIFICATE


async def test_certificates_are_ignored_only_where_the_operator_says_so(fetching: Any, peer: Start, authority: Any) -> None:
    port = await peer(says(ok()), authority.context("b.example"))
    assert (await fetching(verify_certificates=False).fetch(Outgoing("GET", f"https://a.example:{port}/"))).status == 200


async def test_the_name_to_verify_may_differ_from_the_host(fetching: Any, peer: Start, authority: Any) -> None:
    names: list[str | None] = []
    context: ssl.SSLContext = authority.context("b.example")
    context.sni_callback = lambda connection, name, _context: names.append(name)
    port = await peer(says(ok(), ok()), context)
    fetcher = fetching()
    asked = Outgoing("GET", f"https://a.example:{port}/", verify_name="b.example")
    assert (await fetcher.fetch(asked)).status == 200
    assert names == ["b.example"]


async def test_a_connection_is_never_reused_for_another_name(fetching: Any, peer: Start, authority: Any) -> None:
    connections = 0
    respond = says(ok(), ok(), ok())

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await respond(reader, writer)

    port = await peer(count, authority.context("b.example"))
    fetcher = fetching()
    url = f"https://a.example:{port}/"
    for _ in range(2):
        assert (await fetcher.fetch(Outgoing("GET", url, verify_name="b.example"))).status == 200
    assert connections == 1
    # The open connection was verified for b.example; nobody else may ride on it.
    assert await failure(fetcher.fetch(Outgoing("GET", url))) is Failure.CERTIFICATE
    assert await failure(fetcher.fetch(Outgoing("GET", url, verify_name="c.example"))) is Failure.CERTIFICATE


async def test_a_literal_address_is_verified_as_an_address(fetching: Any, peer: Start, authority: Any) -> None:
    right = await peer(says(ok()), authority.context("127.0.0.1"))
    wrong = await peer(says(ok()), authority.context("a.example"))
    assert (await fetching().fetch(Outgoing("GET", f"https://127.0.0.1:{right}/"))).status == 200
    assert await failure(fetching().fetch(Outgoing("GET", f"https://127.0.0.1:{wrong}/"))) is Failure.CERTIFICATE


async def test_plain_text_where_tls_was_expected_is_a_failure(fetching: Any, peer: Start) -> None:
    port = await peer(says(ok()))
    assert await failure(fetching().fetch(Outgoing("GET", f"https://a.example:{port}/", timeout_ms=300))) is Failure.TIMEOUT


# Streams


async def test_a_body_can_be_read_in_pieces(fetching: Any, peer: Start) -> None:
    port = await peer(says(ok(b"x" * 1_000_000)))
    async with fetching().stream(Outgoing("GET", f"http://a.example:{port}/")) as answer:
        sizes = [len(piece) async for piece in answer.pieces]
    assert sum(sizes) == 1_000_000
    assert len(sizes) > 1


async def test_a_stream_left_early_closes_its_connection(fetching: Any, peer: Start) -> None:
    closed = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nfirst")
        await reader.read()
        closed.set()

    port = await peer(respond)
    async with fetching().stream(Outgoing("GET", f"http://a.example:{port}/", bytes_max=1 << 40)) as answer:
        assert await anext(answer.pieces) == b"first"
    async with asyncio.timeout(5):
        await closed.wait()


async def test_many_requests_share_their_connections(fetching: Any, peer: Start) -> None:
    port = await peer(says(*[ok()] * 100))
    fetcher = fetching()
    answers = await asyncio.gather(*(fetcher.fetch(Outgoing("GET", f"http://a.example:{port}/{n}")) for n in range(20)))
    assert all(answer.status == 200 for answer in answers)
