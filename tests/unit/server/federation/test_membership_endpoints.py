"""The forms of invites and joins that our own client never sends."""

import orjson
import pytest

from tests.unit.server.federation.stacks import A, B, Stack, ask_router, signing_key
from watchword.protocol import canonical_json
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix


async def ask(stack: Stack, method: str, uri: str, body: object = None) -> tuple[int, object]:
    content = None if body is None else canonical_json.encode(body)
    key = signing_key(B)
    signature = key.sign(SignedRequest(method, uri, B, A, content).signed_bytes())
    headers = {"authorization": format_x_matrix(XMatrix(B, key.key_id, signature, A))}
    answer = await ask_router(stack.router, method, uri, content or b"", headers)
    return answer.status, orjson.loads(answer.body)


async def test_an_invite_of_the_first_form_is_answered_in_a_pair(two: tuple[Stack, Stack]) -> None:
    body = {"type": "m.room.member", "unsigned": {"invite_room_state": [{"s": 1}]}}
    status, answer = await ask(two[0], "PUT", "/_matrix/federation/v1/invite/!r:b.example/$e", body)
    assert (status, answer) == (200, [200, {"event": {"type": "m.room.member", "signed": True}}])
    invite = two[0].rooms.asked[0][2]
    assert (invite.room_version, invite.invite_room_state) == ("", [{"s": 1}])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"room_version": "11"},
        {"room_version": 11, "event": {}},
        {"room_version": "x" * 40, "event": {}},
        {"room_version": "11", "event": {}, "invite_room_state": [5]},
        {"room_version": "11", "event": {}, "invite_room_state": [{}] * 101},
    ],
)
async def test_a_misshapen_invite_is_400(two: tuple[Stack, Stack], body: object) -> None:
    status, _ = await ask(two[0], "PUT", "/_matrix/federation/v2/invite/!r:b.example/$e", body)
    assert status == 400


async def test_versions_default_to_the_first(two: tuple[Stack, Stack]) -> None:
    await ask(two[0], "GET", "/_matrix/federation/v1/make_join/!r:a.example/@bob:b.example")
    assert two[0].rooms.asked[0][-1] == ["1"]


async def test_members_may_be_left_out_of_a_join(two: tuple[Stack, Stack]) -> None:
    await ask(two[0], "PUT", "/_matrix/federation/v2/send_join/!r:a.example/$e?omit_members=true", {"x": 1})
    assert two[0].rooms.asked[0][-1] is True


async def test_an_alias_of_another_server_is_not_found_here(two: tuple[Stack, Stack]) -> None:
    status, _ = await ask(two[0], "GET", "/_matrix/federation/v1/query/directory?room_alias=%23room%3Ab.example")
    assert status == 404
