import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from watchword.edge.dns import DnsFailed, DnsResolver, SrvRecord, StaticResolver

A, AAAA, SRV = 1, 28, 33


def encoded_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class NameServer(asyncio.DatagramProtocol):
    """Answers from a table: (name, type) → record data; anything else does not exist. None: silence."""

    def __init__(self, records: dict[tuple[str, int], list[bytes] | None]) -> None:
        self.records = records
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked += 1
        labels, position = [], 12
        while data[position]:
            labels.append(data[position + 1 : position + 1 + data[position]].decode())
            position += 1 + data[position]
        (kind,) = struct.unpack_from("!H", data, position + 1)
        name = ".".join(labels).lower()
        found = self.records.get((name, kind), [])
        if found is None:
            return
        exists = any(name == known for known, _ in self.records)
        head = data[:2] + struct.pack("!HHHHH", 0x8180 if exists else 0x8183, 1, len(found), 0, 0)
        rows = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(row)) + row for row in found)
        self.transport.sendto(head + data[12 : position + 5] + rows, addr)  # type: ignore[attr-defined]


Serve = Callable[[dict[tuple[str, int], list[bytes] | None]], "asyncio.Future[DnsResolver]"]


@pytest.fixture
async def resolving() -> AsyncIterator[Callable[..., object]]:
    open_things: list[tuple[asyncio.DatagramTransport, DnsResolver]] = []

    async def start(records: dict[tuple[str, int], list[bytes] | None], timeout_ms: int = 2_000) -> DnsResolver:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: NameServer(records), local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        resolver = DnsResolver((f"127.0.0.1:{port}",), timeout_ms=timeout_ms)
        open_things.append((transport, resolver))
        return resolver

    yield start
    for transport, resolver in open_things:
        await resolver.close()
        transport.close()
    await asyncio.sleep(0)


async def test_both_families_are_found(resolving: Serve) -> None:
    resolver = await resolving(
        {("a.example", A): [bytes([192, 0, 2, 1])], ("a.example", AAAA): [bytes.fromhex("20010db8000000000000000000000001")]}
    )
    assert set(await resolver.addresses("a.example")) == {"192.0.2.1", "2001:db8::1"}


async def test_services_come_by_priority(resolving: Serve) -> None:
    rows = [
        struct.pack("!HHH", 20, 1, 8448) + encoded_name("second.example"),
        struct.pack("!HHH", 10, 5, 443) + encoded_name("first.example"),
    ]
    resolver = await resolving({("_matrix-fed._tcp.a.example", SRV): list(rows)})
    assert await resolver.srv("_matrix-fed._tcp.a.example") == (
        SrvRecord("first.example", 443, 10, 5),
        SrvRecord("second.example", 8448, 20, 1),
    )


async def test_a_service_that_is_not_offered_has_a_dot_for_a_target(resolving: Serve) -> None:
    resolver = await resolving({("_x._tcp.a.example", SRV): [struct.pack("!HHH", 0, 0, 0) + b"\0"]})
    assert await resolver.srv("_x._tcp.a.example") == (SrvRecord(".", 0, 0, 0),)


async def test_a_name_that_does_not_exist_is_an_empty_answer(resolving: Serve) -> None:
    resolver = await resolving({("here.example", A): []})
    assert await resolver.addresses("nowhere.example") == ()
    assert await resolver.srv("nowhere.example") == ()
    assert await resolver.srv("here.example") == ()


async def test_silence_is_a_failure_and_bounded(resolving: Callable[..., "asyncio.Future[DnsResolver]"]) -> None:
    resolver = await resolving({("a.example", A): None, ("a.example", AAAA): None, ("a.example", SRV): None}, 300)
    async with asyncio.timeout(3):
        with pytest.raises(DnsFailed):
            await resolver.addresses("a.example")
        with pytest.raises(DnsFailed):
            await resolver.srv("a.example")


async def test_localhost_needs_no_name_server() -> None:
    resolver = DnsResolver(("127.0.0.1:1",))
    assert "127.0.0.1" in await resolver.addresses("localhost")
    await resolver.close()


@pytest.mark.parametrize("name", ["", "a" * 300, "a b", "a\0b", "ä.example", "a\nb"])
async def test_what_is_no_name_is_asked_of_nobody(name: str) -> None:
    resolver = DnsResolver(("127.0.0.1:1",))
    assert await resolver.addresses(name) == ()
    assert await resolver.srv(name) == ()


async def test_a_table_answers_for_tests_and_overrides() -> None:
    inner = StaticResolver({"b.example": ["192.0.2.2"]}, {"_x._tcp.b.example": [SrvRecord("b", 1)]})
    resolver = StaticResolver({"a.example": ["192.0.2.1"]}, otherwise=inner)
    assert await resolver.addresses("A.example.") == ["192.0.2.1"]
    assert await resolver.addresses("b.example") == ["192.0.2.2"]
    assert await resolver.addresses("c.example") == ()
    assert await resolver.srv("_x._tcp.b.example") == [SrvRecord("b", 1)]
    assert await resolver.srv("_x._tcp.c.example") == ()
