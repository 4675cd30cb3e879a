"""The doors for invites that waited for an address. `app` mounts this table with a `PromisedInvites`.

Spec: server-server-api#third-party-invites
"""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, ProtocolError
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import domain_of, parse_room_id, parse_user_id
from watchword.server.federation.ports import PromisedInvites
from watchword.server.rooms.commands import PromisedInvite


async def on_bind(request: Request, _: None, invites: PromisedInvites) -> Reply:
    """An identity server tells that an address has an owner, and which invites waited for it. It signs nothing but those."""
    user_id = request.field_parsed("mxid", parse_user_id)
    await invites.bound(user_id, _promised(request.field("invites", list)))
    return Reply.EMPTY


def _promised(listed: Sequence[Any]) -> list[PromisedInvite]:
    """Those that are well formed: one that is not shall not keep the others from being made."""
    found = []
    for each in listed[: limits.third_party_invites_at_once]:
        match each:
            case {"room_id": str(room_id), "sender": str(sender), "mxid": str(target), "signed": dict(signed)}:
                try:
                    found.append(PromisedInvite(parse_room_id(room_id), parse_user_id(sender), parse_user_id(target), signed))
                except ProtocolError:
                    continue
            case _:
                continue
    return found


async def exchange(request: Request, requester: ServerRequester, invites: PromisedInvites) -> Reply:
    """Another server's user shows that an address is his: he gets the invite that was promised to it."""
    room_id = request.param("roomId", parse_room_id)
    target = request.field_parsed("state_key", parse_user_id)
    if request.field("type", str) != "m.room.member" or request.field("room_id", str) != room_id:
        raise BadRequest("M_INVALID_PARAM", "This is not an invite to that room.")
    if domain_of(target) != requester.server_name:
        raise Forbidden("This user belongs to another server.")
    signed = _signed(request.field("content", dict))
    await invites.exchange(PromisedInvite(room_id, request.field_parsed("sender", parse_user_id), target, signed))
    return Reply.EMPTY


def _signed(content: Mapping[str, Any]) -> Mapping[str, Any]:
    match content:
        case {"membership": "invite", "third_party_invite": {"signed": dict(signed)}}:
            return signed
        case _:
            raise BadRequest("M_INVALID_PARAM", "This is not an invite that was promised to an address.")


_V1 = "/_matrix/federation/v1"

ENDPOINTS = (
    Endpoint(
        "PUT",
        f"{_V1}/3pid/onbind",
        on_bind,
        "server-server-api#put_matrixfederationv13pidonbind",
        auth=Auth.NONE,
        rate=Rate.REGISTER,
        body=Body.JSON,
        body_bytes_max=limits.client_body_bytes_max,
    ),
    Endpoint(
        "PUT",
        f"{_V1}/exchange_third_party_invite/{{roomId}}",
        exchange,
        "server-server-api#put_matrixfederationv1exchange_third_party_inviteroomid",
        auth=Auth.SERVER,
        rate=Rate.FEDERATION,
        body=Body.JSON,
    ),
)
