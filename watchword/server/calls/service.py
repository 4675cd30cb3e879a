"""Calls put together: who is let into a media server of ours, and who is helped into another server's.

Spec: proposals/4195
"""

import logging
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError, Refusal
from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of
from watchword.server.calls import decide
from watchword.server.calls.commands import CallSettings, LiveKitSettings, TokenRequest
from watchword.server.calls.livekit import signed
from watchword.server.calls.ports import CallRooms, MediaRooms, RemoteCalls

logger = logging.getLogger(__name__)

_RELAYED = {"M_FORBIDDEN": 403, "M_INVALID_PARAM": 400}
_TOKEN_CHARACTERS_MAX = 8_192


@dataclass(frozen=True, slots=True)
class CallPorts:
    """What calls need of others. media: None without a LiveKit server of our own."""

    server_name: ServerName
    rooms: CallRooms
    remote: RemoteCalls
    media: MediaRooms | None


@dataclass(frozen=True, slots=True)
class Calls:
    """What the doors need."""

    settings: CallSettings
    clock: Clock
    ports: CallPorts | None = None

    async def token(self, user_id: UserId, server_name: ServerName | None, wanted: TokenRequest) -> str:
        """A token for a local user, of our LiveKit server or through another server. Raises Refusal."""
        ports = self._ports()
        if server_name in (None, ports.server_name):
            livekit = self._livekit()
            await self._require_joined(user_id, wanted.room_id)
            return await self._minted(livekit, user_id, wanted)
        await self._require_joined(user_id, wanted.room_id)
        assert server_name is not None
        return await self._asked(user_id, server_name, wanted)

    async def token_for_server(self, origin: ServerName, user_id: UserId, wanted: TokenRequest) -> str:
        """A token of our LiveKit server for a user of another server. Raises Refusal."""
        livekit = self._livekit()
        if domain_of(user_id) != origin:
            raise Forbidden("This user belongs to another server.")
        await self._require_joined(user_id, wanted.room_id)
        return await self._minted(livekit, user_id, wanted)

    def _ports(self) -> CallPorts:
        assert self.ports is not None
        return self.ports

    def _livekit(self) -> LiveKitSettings:
        if self.settings.livekit is None:
            # As on a server that does not know this path: clients ask a service beside it then.
            raise NotFound("This server has no media server.", "M_UNRECOGNIZED")
        return self.settings.livekit

    async def _require_joined(self, user_id: UserId, room_id: RoomId) -> None:
        room = await self._ports().rooms.room(room_id)
        if room is None or not room.is_alive or user_id not in room.members.joined:
            raise Forbidden("You are not in this room.")

    async def _minted(self, livekit: LiveKitSettings, user_id: UserId, wanted: TokenRequest) -> str:
        ports = self._ports()
        if wanted.url.rstrip("/") != livekit.url.rstrip("/"):
            raise BadRequest("M_INVALID_PARAM", "This is not a media server of this server.")
        name = decide.media_room(wanted)
        assert ports.media is not None
        try:
            await ports.media.ensure(name)
        except PeerError as error:
            logger.warning("The media server did not make a room.", extra={"cause": str(error)})
            raise Refusal("M_UNKNOWN", "The media server cannot be reached.", status=502) from error
        may_publish = domain_of(user_id) == ports.server_name
        who = decide.participant(user_id, wanted)
        return signed(livekit, decide.token_claims(livekit, who, name, self.clock.now_ms(), may_publish=may_publish))

    async def _asked(self, user_id: UserId, server_name: ServerName, wanted: TokenRequest) -> str:
        body = {
            "user_id": user_id,
            "url": wanted.url,
            "room_id": wanted.room_id,
            "slot_id": wanted.slot_id,
            "member_id": wanted.member_id,
        }
        try:
            answer = await self._ports().remote.livekit_token(server_name, body)
        except PeerError as error:
            logger.info("Another server gave no token.", extra={"server_name": server_name, "cause": str(error)})
            errcode = error.errcode or ""
            if _RELAYED.get(errcode) == error.status and error.status is not None:
                raise Refusal(errcode, "The other server does not let you in.", status=error.status) from error
            raise Refusal("M_UNKNOWN", "The other server gave no token.", status=502) from error
        token = answer.get("jwt")
        if not isinstance(token, str) or len(token) > _TOKEN_CHARACTERS_MAX:
            raise Refusal("M_UNKNOWN", "The other server gave no token.", status=502)
        return token
