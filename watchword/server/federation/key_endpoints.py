"""The doors of the keys: our own, and those of others that we vouch for. Anybody may ask.

Spec: server-server-api#retrieving-server-keys
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.protocol.ids import ServerName, parse_server_name
from watchword.server.federation.discovery_rules import parse_address
from watchword.server.federation.doors import FederationDoors


async def server_keys(request: Request, requester: None, doors: FederationDoors) -> Reply:
    """Our own keys."""
    return Reply.encoded(doors.own_keys.published_bytes())


async def query_keys_of_one(request: Request, requester: None, doors: FederationDoors) -> Reply:
    """The keys of one server."""
    server_name = request.param("serverName", parse_server_name)
    until = request.query_int("minimum_valid_until_ts", doors.clock.now_ms())
    found = await doors.notary.answer(server_name, {}, until)
    return Reply.json({"server_keys": [] if found is None else [found]})


async def query_keys(request: Request, requester: None, doors: FederationDoors) -> Reply:
    """The keys of several servers."""
    wanted = request.field("server_keys", dict)
    if len(wanted) > limits.key_query_servers_max:
        raise BadRequest("M_BAD_JSON", f"Ask for at most {limits.key_query_servers_max} servers at once.")
    now = doors.clock.now_ms()
    asked = {ServerName(name): _criteria(keys, now) for name, keys in wanted.items() if parse_address(name) is not None}
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(doors.notary.answer(name, keys, now)) for name, keys in asked.items()]
    return Reply.json({"server_keys": [found for answer in answers if (found := answer.result()) is not None]})


def _criteria(keys: object, now: int) -> Mapping[str, int]:
    """Key ID → the time it should be valid until. "If not supplied, the notary server MUST use the current time." """
    if not isinstance(keys, dict) or len(keys) > limits.keys_per_server_max:
        raise BadRequest("M_BAD_JSON", "server_keys must map server names to key IDs.")
    return {key_id: _minimum(criteria, now) for key_id, criteria in keys.items()}


def _minimum(criteria: Any, now: int) -> int:
    minimum = criteria.get("minimum_valid_until_ts", now) if isinstance(criteria, dict) else None
    if not isinstance(minimum, int) or isinstance(minimum, bool) or not 0 <= minimum <= limits.canonical_integer_max:
        raise BadRequest("M_BAD_JSON", "minimum_valid_until_ts must be an integer.")
    return minimum


ENDPOINTS = (
    Endpoint(
        "GET",
        "/_matrix/key/v2/server",
        server_keys,
        auth=Auth.NONE,
        rate=Rate.FEDERATION,
        spec="server-server-api#get_matrixkeyv2server",
    ),
    Endpoint(
        "GET",
        "/_matrix/key/v2/query/{serverName}",
        query_keys_of_one,
        auth=Auth.NONE,
        rate=Rate.FEDERATION,
        spec="server-server-api#get_matrixkeyv2queryservername",
    ),
    Endpoint(
        "POST",
        "/_matrix/key/v2/query",
        query_keys,
        auth=Auth.NONE,
        rate=Rate.FEDERATION,
        body=Body.JSON,
        spec="server-server-api#post_matrixkeyv2query",
    ),
)
