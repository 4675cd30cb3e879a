"""The operations of the client-server API that the session uses, one method each.

Thin: arguments become a request, the answer is returned as it came. Spec: client-server-api
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from watchword.base.errors import PeerError
from watchword.client.crypto.requests import (
    BackupUpload,
    KeysClaim,
    KeysQuery,
    KeysUpload,
    Request,
    SignaturesUpload,
    SigningKeysUpload,
    ToDevice,
)
from watchword.client.crypto.untrusted import text_at
from watchword.client.http import Call, ServerConnection, path_of
from watchword.client.uia import Credentials

_V3 = "/_matrix/client/v3"
_MEDIA = "/_matrix/client/v1/media"
_UIA_STEPS_MAX = 6
_MEDIA_TIMEOUT_MS = 300_000
_SLOW_MS = 30_000


class ClientApi:
    """Operations of one homeserver over one connection. Every method raises PeerError and SignedOut."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def _get(self, path: str, **query: str) -> dict[str, Any]:
        return await self._connection.call(Call("GET", _V3 + path, query=query))

    async def _post(self, path: str, body: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        return await self._connection.call(Call("POST", _V3 + path, body, repeatable=repeatable))

    async def _put(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        return await self._connection.call(Call("PUT", _V3 + path, body, query=query))

    async def _interactive(
        self, path: str, body: Mapping[str, Any], credentials: Credentials, *, authenticated: bool
    ) -> dict[str, Any]:
        """POST with user-interactive authentication: answers each challenge as far as the credentials reach."""
        auth: dict[str, Any] | None = None
        tried: list[str] = []
        for _ in range(_UIA_STEPS_MAX):
            whole = dict(body) if auth is None else {**body, "auth": auth}
            try:
                return await self._connection.call(
                    Call("POST", _V3 + path, whole, authenticated=authenticated, repeatable=False)
                )
            except PeerError as error:
                # A failed stage is repeated to us with an errcode; a first challenge has none.
                failed = auth is not None and error.errcode is not None
                if error.status != 401 or "flows" not in error.body or failed:
                    raise
                auth = credentials.next_auth(error.body, tried)
                if auth is None:
                    raise
                tried.append(str(auth["type"]))
        raise PeerError(self._connection.base_url, "authentication does not end")

    # Accounts

    async def register(self, username: str, password: str, device_name: str, credentials: Credentials) -> dict[str, Any]:
        """Spec: client-server-api#post_matrixclientv3register"""
        body = {
            "username": username,
            "password": password,
            "initial_device_display_name": device_name,
            "refresh_token": True,
        }
        return await self._interactive("/register", body, credentials, authenticated=False)

    async def login(self, user: str, password: str, device_name: str, device_id: str | None = None) -> dict[str, Any]:
        """Spec: client-server-api#post_matrixclientv3login"""
        body: dict[str, Any] = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user},
            "password": password,
            "initial_device_display_name": device_name,
            "refresh_token": True,
        }
        if device_id is not None:
            body["device_id"] = device_id
        return await self._connection.call(Call("POST", _V3 + "/login", body, authenticated=False, repeatable=False))

    async def logout(self) -> None:
        """Spec: client-server-api#post_matrixclientv3logout"""
        await self._post("/logout", {})

    async def whoami(self) -> dict[str, Any]:
        """Spec: client-server-api#get_matrixclientv3accountwhoami"""
        return await self._get("/account/whoami")

    async def versions(self) -> dict[str, Any]:
        """Spec: client-server-api#get_matrixclientversions"""
        return await self._connection.call(Call("GET", "/_matrix/client/versions", authenticated=False))

    async def set_display_name(self, user_id: str, name: str) -> None:
        """Spec: client-server-api#put_matrixclientv3profileuseridkeyname"""
        await self._put("/profile" + path_of(user_id, "displayname"), {"displayname": name})

    async def account_data(self, user_id: str, data_type: str) -> dict[str, Any] | None:
        """The content, or None. Spec: client-server-api#get_matrixclientv3useruseridaccount_datatype"""
        try:
            return await self._get("/user" + path_of(user_id, "account_data", data_type))
        except PeerError as error:
            if error.status == 404:
                return None
            raise

    async def set_account_data(self, user_id: str, data_type: str, content: Mapping[str, Any]) -> None:
        """Spec: client-server-api#put_matrixclientv3useruseridaccount_datatype"""
        await self._put("/user" + path_of(user_id, "account_data", data_type), content)

    # Rooms

    async def sync(self, since: str | None, timeout_ms: int, sync_filter: str) -> dict[str, Any]:
        """Once, without retries: the loop that calls it has its own. Spec: client-server-api#get_matrixclientv3sync"""
        query = {"timeout": str(timeout_ms), "filter": sync_filter}
        if since is not None:
            query["since"] = since
        return await self._connection.call(
            Call("GET", _V3 + "/sync", query=query, timeout_ms=timeout_ms + _SLOW_MS, patience_ms=0)
        )

    async def create_room(self, body: Mapping[str, Any]) -> str:
        """The new room's ID. Not repeated when the answer is lost. Spec: client-server-api#post_matrixclientv3createroom"""
        return self._text(await self._post("/createRoom", body, repeatable=False), "room_id")

    async def invite(self, room_id: str, user_id: str) -> None:
        """Spec: client-server-api#post_matrixclientv3roomsroomidinvite"""
        await self._post("/rooms" + path_of(room_id, "invite"), {"user_id": user_id})

    async def join(self, room: str, via: tuple[str, ...] = ()) -> str:
        """The room's ID. Spec: client-server-api#post_matrixclientv3joinroomidoralias"""
        query = {"via": via} if via else {}
        call = Call("POST", _V3 + "/join" + path_of(room), {}, query=query, timeout_ms=120_000)
        return self._text(await self._connection.call(call), "room_id")

    async def leave(self, room_id: str) -> None:
        """Spec: client-server-api#post_matrixclientv3roomsroomidleave"""
        await self._post("/rooms" + path_of(room_id, "leave"), {})

    async def change_membership(self, room_id: str, action: str, user_id: str, reason: str) -> None:
        """action: kick, ban or unban. Spec: client-server-api#post_matrixclientv3roomsroomidkick"""
        await self._post("/rooms" + path_of(room_id, action), {"user_id": user_id, "reason": reason})

    async def send(self, room_id: str, event_type: str, transaction_id: str, content: Mapping[str, Any]) -> str:
        """The event ID. Spec: client-server-api#put_matrixclientv3roomsroomidsendeventtypetxnid"""
        answer = await self._put("/rooms" + path_of(room_id, "send", event_type, transaction_id), content)
        return self._text(answer, "event_id")

    async def send_state(self, room_id: str, event_type: str, state_key: str, content: Mapping[str, Any]) -> str:
        """The event ID. Spec: client-server-api#put_matrixclientv3roomsroomidstateeventtypestatekey"""
        return self._text(await self._put("/rooms" + path_of(room_id, "state", event_type, state_key), content), "event_id")

    async def redact(self, room_id: str, event_id: str, transaction_id: str, reason: str | None) -> str:
        """The event ID. Spec: client-server-api#put_matrixclientv3roomsroomidredacteventidtxnid"""
        body = {} if reason is None else {"reason": reason}
        return self._text(await self._put("/rooms" + path_of(room_id, "redact", event_id, transaction_id), body), "event_id")

    async def messages(self, room_id: str, direction: str, start: str | None, limit: int) -> dict[str, Any]:
        """Spec: client-server-api#get_matrixclientv3roomsroomidmessages"""
        query = {"dir": direction, "limit": str(limit)}
        if start is not None:
            query["from"] = start
        return await self._get("/rooms" + path_of(room_id, "messages"), **query)

    async def event(self, room_id: str, event_id: str) -> dict[str, Any]:
        """Spec: client-server-api#get_matrixclientv3roomsroomideventeventid"""
        return await self._get("/rooms" + path_of(room_id, "event", event_id))

    async def send_receipt(self, room_id: str, event_id: str) -> None:
        """Spec: client-server-api#post_matrixclientv3roomsroomidreceiptreceipttypeeventid"""
        await self._post("/rooms" + path_of(room_id, "receipt", "m.read", event_id), {})

    async def set_typing(self, room_id: str, user_id: str, timeout_ms: int) -> None:
        """timeout_ms: 0 to stop. Spec: client-server-api#put_matrixclientv3roomsroomidtypinguserid"""
        body: dict[str, Any] = {"typing": timeout_ms > 0}
        if timeout_ms > 0:
            body["timeout"] = timeout_ms
        await self._put("/rooms" + path_of(room_id, "typing", user_id), body)

    # Media

    async def upload(self, data: bytes, content_type: str, file_name: str | None) -> str:
        """The mxc URI. Spec: client-server-api#post_matrixmediav3upload"""
        query = {} if file_name is None else {"filename": file_name}
        call = Call(
            "POST",
            "/_matrix/media/v3/upload",
            data,
            query=query,
            content_type=content_type,
            timeout_ms=_MEDIA_TIMEOUT_MS,
        )
        return self._text(await self._connection.call(call), "content_uri")

    async def download(self, server_name: str, media_id: str) -> bytes:
        """Spec: client-server-api#get_matrixclientv1mediadownloadservernamemediaid"""
        path = _MEDIA + path_of("download", server_name, media_id)
        return (await self._connection.call_raw(Call("GET", path, timeout_ms=_MEDIA_TIMEOUT_MS))).body

    # Encryption

    async def perform(self, request: Request, credentials: Credentials | None = None) -> dict[str, Any]:
        """Carry out a request of the machine; `receive_answer` takes what comes back."""
        match request:
            case KeysUpload():
                return await self._post("/keys/upload", request.body)
            case KeysQuery():
                return await self._post("/keys/query", request.body)
            case KeysClaim():
                return await self._post("/keys/claim", request.body)
            case ToDevice():
                path = "/sendToDevice" + path_of(request.event_type, request.request_id)
                return await self._put(path, {"messages": request.messages})
            case SignaturesUpload():
                return await self._post("/keys/signatures/upload", request.body)
            case BackupUpload():
                return await self._put("/room_keys/keys", request.body, version=request.version)
            case SigningKeysUpload():
                path = "/keys/device_signing/upload"
                return await self._interactive(path, request.body, credentials or Credentials(), authenticated=True)

    async def backup_version(self) -> dict[str, Any] | None:
        """The newest backup version, or None. Spec: client-server-api#get_matrixclientv3room_keysversion"""
        try:
            return await self._get("/room_keys/version")
        except PeerError as error:
            if error.status == 404:
                return None
            raise

    async def create_backup(self, body: Mapping[str, Any]) -> str:
        """The new version. Spec: client-server-api#post_matrixclientv3room_keysversion"""
        return self._text(await self._post("/room_keys/version", body, repeatable=False), "version")

    async def backed_up_keys(self, version: str, room_id: str | None = None, session_id: str | None = None) -> dict[str, Any]:
        """Keys of the backup in the form {"rooms": …}, however narrow the question; empty if there are none.

        Spec: client-server-api#get_matrixclientv3room_keyskeys
        """
        parts = [part for part in (room_id, session_id) if part is not None]
        try:
            answer = await self._get("/room_keys/keys" + path_of(*parts), version=version)
        except PeerError as error:
            if error.status == 404:
                return {"rooms": {}}
            raise
        if room_id is None:
            return answer
        return {"rooms": {room_id: answer if session_id is None else {"sessions": {session_id: answer}}}}

    def _text(self, answer: Mapping[str, Any], key: str) -> str:
        value = text_at(answer, key)
        if value is None:
            raise PeerError(self._connection.base_url, f"the answer has no {key}")
        return value


def sync_filter(timeline_limit: int) -> str:
    """The inline filter that the session syncs with: whole membership, no presence."""
    return msgspec.json.encode({"room": {"timeline": {"limit": timeline_limit}}, "presence": {"not_types": ["*"]}}).decode()
