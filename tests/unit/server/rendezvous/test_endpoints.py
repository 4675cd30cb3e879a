from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.rendezvous.endpoints import ENDPOINTS, RendezvousDoors
from watchword.server.rendezvous.sessions import RendezvousSessions

_JSON = "/_matrix/client/unstable/io.element.msc4388/rendezvous"
_TEXT = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"
_ALICE = Requester(UserId("@alice:a.example"), DeviceId("A"), 1)


class House:
    """The doors, and a way to knock."""

    def __init__(self, *, open_to_all: bool = False) -> None:
        sessions = RendezvousSessions(ManualClock(), SeededEntropy(1))
        self.doors = RendezvousDoors(sessions, "https://a.example", open_to_all)

    async def knock(
        self,
        method: str,
        pattern: str,
        *,
        by: Requester | None = None,
        json: Mapping[str, Any] | None = None,
        text: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **params: str,
    ) -> Reply:
        (row,) = (row for row in ENDPOINTS if (row.method, row.path) == (method, pattern))

        async def stream() -> AsyncIterator[bytes]:
            yield text

        request = Request(method, pattern, params=params, json=json, headers=headers, stream=stream)
        reply = await row.handler(request, by, self.doors)
        assert isinstance(reply, Reply)
        return reply


async def test_two_devices_exchange_json() -> None:
    house = House()
    made = orjson.loads((await house.knock("POST", _JSON, by=_ALICE, json={"data": "from A"})).body)
    assert made["expires_in_ms"] == 300_000
    where = {"rendezvousId": made["id"]}
    seen = orjson.loads((await house.knock("GET", _JSON + "/{rendezvousId}", **where)).body)
    assert (seen["data"], seen["sequence_token"]) == ("from A", made["sequence_token"])
    body = {"sequence_token": seen["sequence_token"], "data": "from B"}
    sent = await house.knock("PUT", _JSON + "/{rendezvousId}/{txnId}", json=body, txnId="t", **where)
    again = await house.knock("PUT", _JSON + "/{rendezvousId}/{txnId}", json=body, txnId="t", **where)
    assert sent.body == again.body
    seen = orjson.loads((await house.knock("GET", _JSON + "/{rendezvousId}", **where)).body)
    assert seen["data"] == "from B"
    body = {"sequence_token": seen["sequence_token"], "data": "without a transaction"}
    await house.knock("PUT", _JSON + "/{rendezvousId}", json=body, **where)
    await house.knock("DELETE", _JSON + "/{rendezvousId}", **where)
    with pytest.raises(NotFound):
        await house.knock("GET", _JSON + "/{rendezvousId}", **where)


async def test_two_devices_exchange_texts() -> None:
    house = House()
    made = await house.knock("POST", _TEXT, by=_ALICE, text=b"from A", headers={"content-type": "text/plain"})
    assert made.status == 201
    url = orjson.loads(made.body)["url"]
    assert url.startswith("https://a.example" + _TEXT)
    where = {"rendezvousId": url.rpartition("/")[2]}
    path = _TEXT + "/{rendezvousId}"
    seen = await house.knock("GET", path, **where)
    assert (seen.body, seen.headers["etag"], seen.headers["content-type"]) == (b"from A", made.headers["etag"], "text/plain")
    known = {"if-none-match": seen.headers["etag"]}
    assert (await house.knock("GET", path, headers=known, **where)).status == 304
    sent = await house.knock("PUT", path, text=b"from B", headers={"if-match": seen.headers["etag"]}, **where)
    assert sent.status == 202
    late = await house.knock("PUT", path, text=b"from C", headers={"if-match": seen.headers["etag"]}, **where)
    assert (late.status, late.headers["etag"]) == (412, sent.headers["etag"])
    assert (await house.knock("GET", path, headers=known, **where)).body == b"from B"
    assert (await house.knock("DELETE", path, **where)).status == 204


async def test_a_text_without_the_revision_that_was_seen_is_refused() -> None:
    house = House()
    made = await house.knock("POST", _TEXT, by=_ALICE, text=b"from A")
    session_id = orjson.loads(made.body)["url"].rpartition("/")[2]
    with pytest.raises(BadRequest):
        await house.knock("PUT", _TEXT + "/{rendezvousId}", text=b"x", rendezvousId=session_id)


@pytest.mark.parametrize("path", [_JSON, _TEXT])
async def test_strangers_and_guests_begin_nothing_unless_the_operator_lets_them(path: str) -> None:
    guest = Requester(UserId("@1:a.example"), DeviceId("G"), 2, kind=Kind.GUEST)
    for by in (None, guest):
        with pytest.raises(Forbidden):
            await House().knock("POST", path, by=by, json={"data": ""})
        assert (await House(open_to_all=True).knock("POST", path, by=by, json={"data": ""})).status in (200, 201)


async def test_a_client_learns_whether_it_may_begin() -> None:
    for by, available in ((None, False), (_ALICE, True)):
        assert orjson.loads((await House().knock("GET", _JSON, by=by)).body) == {"create_available": available}


async def test_nothing_but_text_is_left_here() -> None:
    with pytest.raises(BadRequest):
        await House().knock("POST", _TEXT, by=_ALICE, text=b"<script>", headers={"content-type": "text/html"})


async def test_a_browser_that_followed_a_link_sees_nothing() -> None:
    house = House()
    made = orjson.loads((await house.knock("POST", _JSON, by=_ALICE, json={"data": "x"})).body)
    for path in (_JSON, _TEXT):
        with pytest.raises(Forbidden):
            await house.knock("GET", path + "/{rendezvousId}", headers={"sec-fetch-mode": "navigate"}, rendezvousId=made["id"])


async def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(BadRequest):
        await House().knock("POST", _JSON, by=_ALICE, json={"data": "\ud800"})


async def test_a_transaction_id_has_a_bound() -> None:
    house = House()
    made = orjson.loads((await house.knock("POST", _JSON, by=_ALICE, json={"data": "x"})).body)
    body = {"sequence_token": made["sequence_token"], "data": ""}
    with pytest.raises(BadRequest):
        await house.knock("PUT", _JSON + "/{rendezvousId}/{txnId}", json=body, txnId="x" * 300, rendezvousId=made["id"])
