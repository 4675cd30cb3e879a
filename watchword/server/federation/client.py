"""What we ask of other servers, typed. Fits `rooms.ports.RemoteServers`, `e2ee.ports.RemoteDevices`,
`accounts.ports.RemoteProfiles`, `sender.TransactionClient`.

Answers have their envelope checked here (`answers`); events in them stay as they came, for `rooms` to judge.
Every method raises PeerError. Spec: server-server-api
"""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.protocol import canonical_json
from watchword.protocol.ids import DeviceId, EventId, RoomAlias, RoomId, ServerName, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.federation import answers
from watchword.server.federation.peer import Ask, PeerTransport, path_of
from watchword.server.federation.settings import FederationSettings
from watchword.server.rooms.ports import SendJoinAnswer, Template

_V1 = "/_matrix/federation/v1"
_V2 = "/_matrix/federation/v2"
_TRANSACTION_TIMEOUT_MS = 60_000
_UNKNOWN_ENDPOINT = frozenset({400, 404, 405})


class FederationClient:
    """Asks other servers."""

    def __init__(self, transport: PeerTransport, settings: FederationSettings) -> None:
        self._transport = transport
        self._settings = settings

    # Transactions

    async def send_transaction(self, server_name: ServerName, txn_id: str, body: bytes) -> dict[str, Any]:
        """Deliver a transaction, encoded as canonical JSON. Any answer but success counts as a failure."""
        ask = Ask(
            "PUT",
            path_of(f"{_V1}/send", txn_id),
            body=body,
            refusal_fails=True,
            timeout_ms=_TRANSACTION_TIMEOUT_MS,
        )
        return await self._transport.json(server_name, ask)

    # Membership

    async def make_join(self, server: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> Template:
        """See RemoteServers."""
        return await self._make("make_join", server, (room_id, user_id), versions)

    async def make_leave(self, server: ServerName, room_id: RoomId, user_id: UserId) -> Template:
        """See RemoteServers."""
        return await self._make("make_leave", server, (room_id, user_id), ())

    async def make_knock(self, server: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> Template:
        """See RemoteServers."""
        return await self._make("make_knock", server, (room_id, user_id), versions)

    async def _make(self, kind: str, server: ServerName, names: tuple[str, str], versions: Sequence[str]) -> Template:
        query = [("ver", version) for version in versions]
        return answers.template(server, await self._get(server, path_of(f"{_V1}/{kind}", *names), query))

    async def send_join(
        self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]
    ) -> SendJoinAnswer:
        """See RemoteServers."""
        ask = Ask(
            "PUT",
            path_of(f"{_V2}/send_join", room_id, event_id),
            body=_encoded(event),
            timeout_ms=self._settings.large_request_timeout_ms,
            bytes_max=limits.peer_response_bytes_max,
        )
        return answers.send_join(server, await self._transport.json(server, ask))

    async def send_leave(self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> None:
        """See RemoteServers."""
        await self._put(server, path_of(f"{_V2}/send_leave", room_id, event_id), event)

    async def send_knock(
        self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """See RemoteServers."""
        answer = await self._put(server, path_of(f"{_V1}/send_knock", room_id, event_id), event)
        return answers.objects(server, answer, "knock_room_state")

    async def invite(
        self,
        server: ServerName,
        room_id: RoomId,
        event_id: EventId,
        event: Mapping[str, Any],
        room_version: str,
        invite_room_state: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """See RemoteServers. A server that does not know the second form is asked in the first, for versions 1 and 2."""
        body = {"event": event, "room_version": room_version, "invite_room_state": list(invite_room_state)}
        try:
            answer = await self._put(server, path_of(f"{_V2}/invite", room_id, event_id), body)
            return answers.object_of(server, answer, "event")
        except PeerError as error:
            version = ROOM_VERSIONS.get(room_version)
            old = version is not None and version.event_ids_in_events
            if not old or error.status not in _UNKNOWN_ENDPOINT or error.errcode not in (None, "M_UNRECOGNIZED"):
                raise
        unsigned = {**event.get("unsigned", {}), "invite_room_state": list(invite_room_state)}
        body = {**event, "unsigned": unsigned}
        ask = Ask("PUT", path_of(f"{_V1}/invite", room_id, event_id), body=_encoded(body))
        return answers.invite_v1(server, await self._transport.json_value(server, ask))

    async def exchange_third_party_invite(self, server: ServerName, room_id: RoomId, event: Mapping[str, Any]) -> None:
        """See RemoteServers."""
        await self._put(server, path_of(f"{_V1}/exchange_third_party_invite", room_id), event)

    async def policy_sign(self, server: ServerName, event: Mapping[str, Any], *, is_unstable: bool) -> dict[str, Any]:
        """See PolicySigner."""
        path = "/_matrix/policy/unstable/org.matrix.msc4284/sign" if is_unstable else "/_matrix/policy/v1/sign"
        ask = Ask("POST", path, body=_encoded(event), timeout_ms=limits.policy_timeout_ms)
        return await self._transport.json(server, ask)

    # Calls

    async def livekit_token(self, server: ServerName, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `calls.ports.RemoteCalls`. A server that knows only the name from before is asked under that."""
        token = "rtc/livekit/get_token"  # noqa: S105 (a path)
        try:
            return await self._transport.json(server, Ask("POST", f"{_V1}/{token}", body=_encoded(body)))
        except PeerError as error:
            if error.status not in _UNKNOWN_ENDPOINT or error.errcode not in (None, "M_UNRECOGNIZED"):
                raise
        path = f"/_matrix/federation/unstable/io.element.msc4195/{token}"
        return await self._transport.json(server, Ask("POST", path, body=_encoded(body)))

    # Events

    async def backfill(
        self, server: ServerName, room_id: RoomId, from_event_ids: Sequence[EventId], limit: int
    ) -> list[dict[str, Any]]:
        """See RemoteServers."""
        query = [("v", event_id) for event_id in from_event_ids] + [("limit", str(limit))]
        answer = await self._get_events(server, path_of(f"{_V1}/backfill", room_id), query)
        return answers.objects(server, answer, "pdus", limits.backfill_page_max * 2)

    async def get_missing_events(
        self,
        server: ServerName,
        room_id: RoomId,
        earliest: Sequence[EventId],
        latest: Sequence[EventId],
        limit: int,
        min_depth: int,
    ) -> list[dict[str, Any]]:
        """See RemoteServers."""
        body = {
            "earliest_events": list(earliest),
            "latest_events": list(latest),
            "limit": limit,
            "min_depth": min_depth,
        }
        ask = Ask(
            "POST",
            path_of(f"{_V1}/get_missing_events", room_id),
            body=_encoded(body),
            bytes_max=limits.peer_events_answer_bytes_max,
        )
        return answers.objects(server, await self._transport.json(server, ask), "events", limits.backfill_page_max)

    async def state_ids(self, server: ServerName, room_id: RoomId, event_id: EventId) -> tuple[list[EventId], list[EventId]]:
        """See RemoteServers."""
        path = path_of(f"{_V1}/state_ids", room_id)
        answer = await self._get_events(server, path, [("event_id", event_id)])
        return answers.event_ids(server, answer, "pdu_ids"), answers.event_ids(server, answer, "auth_chain_ids")

    async def state(
        self, server: ServerName, room_id: RoomId, event_id: EventId
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """See RemoteServers."""
        path = path_of(f"{_V1}/state", room_id)
        answer = await self._get_events(server, path, [("event_id", event_id)], limits.peer_response_bytes_max)
        return answers.objects(server, answer, "pdus"), answers.objects(server, answer, "auth_chain")

    async def event(self, server: ServerName, event_id: EventId) -> dict[str, Any]:
        """See RemoteServers."""
        answer = await self._get(server, path_of(f"{_V1}/event", event_id))
        found = answers.objects(server, answer, "pdus", 1)
        if not found:
            raise PeerError(server, "it answered without the event")
        return found[0]

    async def event_auth(self, server: ServerName, room_id: RoomId, event_id: EventId) -> list[dict[str, Any]]:
        """See RemoteServers."""
        answer = await self._get_events(server, path_of(f"{_V1}/event_auth", room_id, event_id))
        return answers.objects(server, answer, "auth_chain")

    # Queries

    async def query_directory(self, server: ServerName, alias: RoomAlias) -> tuple[RoomId, list[ServerName]]:
        """See RemoteServers."""
        return answers.directory(server, await self._get(server, f"{_V1}/query/directory", [("room_alias", alias)]))

    async def query_profile(self, server_name: ServerName, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        """The profile of a user of that server, or one field of it."""
        query = [("user_id", user_id)] + ([] if field is None else [("field", field)])
        return await self._get(server_name, f"{_V1}/query/profile", query)

    async def public_rooms(self, server_name: ServerName, query: Mapping[str, Any]) -> Mapping[str, Any]:
        """A page of that server's published rooms. query: the body of `POST publicRooms`."""
        ask = Ask("POST", f"{_V1}/publicRooms", body=_encoded(query))
        answer = await self._transport.json(server_name, ask)
        answers.objects(server_name, answer, "chunk")
        return answer

    async def hierarchy(self, server: ServerName, room_id: RoomId, suggested_only: bool) -> Mapping[str, Any]:
        """A room and its children as that server describes them. Its answer is not checked."""
        query = [("suggested_only", "true" if suggested_only else "false")]
        return await self._get(server, path_of(f"{_V1}/hierarchy", room_id), query)

    async def timestamp_to_event(self, server: ServerName, room_id: RoomId, ts: int, *, backwards: bool) -> tuple[EventId, int]:
        """The event of a room that was sent nearest to a time, in one direction, and when it says it was."""
        query = [("ts", str(ts)), ("dir", "b" if backwards else "f")]
        return answers.dated_event(server, await self._get(server, path_of(f"{_V1}/timestamp_to_event", room_id), query))

    async def version(self, server_name: ServerName) -> Mapping[str, Any]:
        """Which software that server says it runs."""
        return await self._transport.json(server_name, Ask("GET", f"{_V1}/version", signed=False))

    # Devices

    async def user_devices(self, server_name: ServerName, user_id: UserId) -> Mapping[str, Any]:
        """The whole device list of a user of that server."""
        return await self._get(server_name, path_of(f"{_V1}/user/devices", user_id))

    async def query_keys(self, server_name: ServerName, device_keys: Mapping[UserId, Sequence[DeviceId]]) -> Mapping[str, Any]:
        """Device keys and cross-signing keys of users of that server."""
        body = {"device_keys": {user_id: list(devices) for user_id, devices in device_keys.items()}}
        return await self._post(server_name, f"{_V1}/user/keys/query", body)

    async def claim_keys(
        self, server_name: ServerName, one_time_keys: Mapping[UserId, Mapping[DeviceId, str]]
    ) -> Mapping[str, Any]:
        """One-time keys of devices of users of that server."""
        body = {"one_time_keys": {user_id: dict(devices) for user_id, devices in one_time_keys.items()}}
        return await self._post(server_name, f"{_V1}/user/keys/claim", body)

    # The four ways to ask

    async def _get(self, server: ServerName, path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        return await self._transport.json(server, Ask("GET", path, query))

    async def _get_events(
        self,
        server: ServerName,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        bytes_max: int = limits.peer_events_answer_bytes_max,
    ) -> dict[str, Any]:
        timeout_ms = self._settings.large_request_timeout_ms
        return await self._transport.json(server, Ask("GET", path, query, timeout_ms=timeout_ms, bytes_max=bytes_max))

    async def _put(self, server: ServerName, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._transport.json(server, Ask("PUT", path, body=_encoded(body)))

    async def _post(self, server: ServerName, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        ask = Ask("POST", path, body=_encoded(body), bytes_max=limits.peer_events_answer_bytes_max)
        return await self._transport.json(server, ask)


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return canonical_json.encode(body, strict=False)
    except RemoteProtocolError as error:
        raise AssertionError("what we ask has a canonical form") from error
