"""The doors where the client of ours does not go: bad requests, and what anybody may ask."""

import orjson
import pytest

from tests.unit.server.federation.stacks import ALICE, ROOM, B, Stack, ask_router, signing_key
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix

V1 = "/_matrix/federation/v1"


async def ask(stack: Stack, method: str, uri: str, body: object = None) -> tuple[int, dict[str, object]]:
    """A request signed by the other server."""
    content = None if body is None else canonical_json.encode(body)
    signed = SignedRequest(method, uri, B, stack.name, content)
    key = signing_key(B)
    header = format_x_matrix(XMatrix(B, key.key_id, key.sign(signed.signed_bytes()), ServerName(stack.name)))
    answer = await ask_router(stack.router, method, uri, content or b"", {"authorization": header})
    return answer.status, orjson.loads(answer.body)


@pytest.mark.parametrize(
    ("method", "uri", "body", "errcode"),
    [
        ("GET", f"{V1}/backfill/!r:a?limit=1", None, "M_MISSING_PARAM"),
        ("GET", f"{V1}/backfill/!r:a?v=nonsense", None, "M_INVALID_PARAM"),
        ("GET", f"{V1}/backfill/!r:a?v=$x&limit=0", None, "M_INVALID_PARAM"),
        ("GET", f"{V1}/backfill/nonsense?v=$x", None, "M_INVALID_PARAM"),
        ("GET", f"{V1}/state/!r:a", None, "M_MISSING_PARAM"),
        ("GET", f"{V1}/state_ids/!r:a?event_id=x", None, "M_INVALID_PARAM"),
        ("GET", f"{V1}/event/x", None, "M_INVALID_PARAM"),
        ("GET", f"{V1}/query/profile", None, "M_MISSING_PARAM"),
        ("GET", f"{V1}/query/directory", None, "M_MISSING_PARAM"),
        ("POST", f"{V1}/get_missing_events/!r:a", {"latest_events": [5]}, "M_BAD_JSON"),
        ("POST", f"{V1}/get_missing_events/!r:a", {"latest_events": ["x"]}, "M_INVALID_PARAM"),
        ("POST", f"{V1}/get_missing_events/!r:a", {"limit": "x"}, "M_BAD_JSON"),
        ("POST", f"{V1}/publicRooms", {"filter": {"generic_search_term": 5}}, "M_BAD_JSON"),
        ("POST", f"{V1}/publicRooms", {"filter": {"room_types": 5}}, "M_BAD_JSON"),
        ("PUT", f"{V1}/send/t", {"pdus": [{}] * 51}, "M_BAD_JSON"),
    ],
)
async def test_bad_requests_are_400(two: tuple[Stack, Stack], method: str, uri: str, body: object, errcode: str) -> None:
    status, answer = await ask(two[0], method, uri, body)
    assert (status, answer["errcode"]) == (400, errcode)


async def test_a_get_of_public_rooms_pages(two: tuple[Stack, Stack]) -> None:
    assert await ask(two[0], "GET", f"{V1}/publicRooms?limit=3&since=x") == (200, {"chunk": [{"room_id": ROOM}]})
    query = two[0].rooms.asked[0][1]
    assert (query.limit, query.since, query.search) == (3, "x", None)


async def test_lists_of_networks_can_be_asked_for(two: tuple[Stack, Stack]) -> None:
    await ask(two[0], "GET", f"{V1}/publicRooms?third_party_instance_id=irc&include_all_networks=false")
    await ask(two[0], "POST", f"{V1}/publicRooms", {"include_all_networks": True})
    first, second = (asked[1] for asked in two[0].rooms.asked)
    assert (first.network_id, first.all_networks) == ("irc", False)
    assert (second.network_id, second.all_networks) == (None, True)


async def test_queries_of_unknown_kinds_are_not_known(two: tuple[Stack, Stack]) -> None:
    status, answer = await ask(two[0], "GET", f"{V1}/query/weather?where=here")
    assert (status, answer["errcode"]) == (404, "M_UNRECOGNIZED")


async def test_events_come_in_the_form_of_a_transaction(two: tuple[Stack, Stack]) -> None:
    status, answer = await ask(two[0], "GET", f"{V1}/event/$x")
    assert (status, answer) == (200, {"origin": "a.example", "origin_server_ts": two[0].clock.now_ms(), "pdus": [{"n": 6}]})


async def test_openid_tokens_are_exchanged_without_a_signature(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    a.people.profiles[ALICE] = {}
    answer = await ask_router(a.router, "GET", f"{V1}/openid/userinfo?access_token=good", b"", {})
    assert (answer.status, orjson.loads(answer.body)) == (200, {"sub": ALICE})
    answer = await ask_router(a.router, "GET", f"{V1}/openid/userinfo?access_token=bad", b"", {})
    assert (answer.status, orjson.loads(answer.body)["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    answer = await ask_router(a.router, "GET", f"{V1}/openid/userinfo", b"", {})
    assert (answer.status, orjson.loads(answer.body)["errcode"]) == (401, "M_MISSING_TOKEN")


async def test_a_transaction_that_is_too_long_is_refused_before_it_is_read(two: tuple[Stack, Stack]) -> None:
    answer = await ask_router(two[0].router, "PUT", f"{V1}/send/t", b" " * 13_000_000, {})
    assert answer.status == 413
