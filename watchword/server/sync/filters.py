"""Sync filters: parsed once, kept by their text.

Spec: client-server-api#filtering
"""

from dataclasses import dataclass, field
from typing import Any

import cachebox
import msgspec

from watchword.base.errors import BadRequest, NotFound
from watchword.protocol.ids import UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms.event_filters import EVERYTHING, RoomEventFilter, parse_filter

_KEPT_MAX = 2_000
_TEXT_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class SyncFilter:
    """What a client wants of /sync. rooms, not_rooms apply to everything of rooms. event_fields: None for all."""

    rooms: RoomEventFilter = EVERYTHING
    timeline: RoomEventFilter = EVERYTHING
    state: RoomEventFilter = EVERYTHING
    ephemeral: RoomEventFilter = EVERYTHING
    room_account_data: RoomEventFilter = EVERYTHING
    account_data: RoomEventFilter = EVERYTHING
    presence: RoomEventFilter = EVERYTHING
    include_leave: bool = False
    federation_format: bool = False
    event_fields: tuple[str, ...] | None = None
    key: int = field(default=0, compare=False)


NO_FILTER = SyncFilter()


class Filters:
    """Looks filters up: inline JSON, or the ID of a stored one."""

    def __init__(self, accounts: AccountReader) -> None:
        self._accounts = accounts
        self._parsed: cachebox.LRUCache[bytes, SyncFilter | None] = cachebox.LRUCache(_KEPT_MAX)
        self._made = 0

    async def find(self, user_id: UserId, text: str | None) -> SyncFilter:
        """The filter of a request. Raises BadRequest, NotFound."""
        if text is None:
            return NO_FILTER
        if text.startswith("{"):
            encoded = text.encode()
        else:
            stored = await self._accounts.filter(user_id, text)
            if stored is None:
                raise NotFound("There is no such filter.")
            encoded = stored
        known = self._parsed.get(encoded, None)
        if known is None:
            self._made += 1
            known = _parse(encoded, self._made)
            self._parsed[encoded] = known
        return known


def _parse(encoded: bytes, key: int) -> SyncFilter:
    if len(encoded) > _TEXT_BYTES_MAX:
        raise BadRequest("M_BAD_JSON", "The filter is too large.")
    try:
        value = msgspec.json.decode(encoded)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("M_NOT_JSON", "The filter must be JSON.") from error
    if not isinstance(value, dict):
        raise BadRequest("M_BAD_JSON", "The filter must be an object.")
    room: Any = value.get("room", {})
    rooms = parse_filter(room)
    fields = value.get("event_fields")
    if fields is not None and not (isinstance(fields, list) and all(isinstance(entry, str) for entry in fields)):
        raise BadRequest("M_BAD_JSON", "event_fields must be a list of strings.")
    form = value.get("event_format", "client")
    if form not in ("client", "federation"):
        raise BadRequest("M_BAD_JSON", "event_format must be client or federation.")
    include_leave = room.get("include_leave", False)
    if not isinstance(include_leave, bool):
        raise BadRequest("M_BAD_JSON", "include_leave must be true or false.")
    return SyncFilter(
        rooms=rooms,
        timeline=parse_filter(room.get("timeline", {})),
        state=parse_filter(room.get("state", {})),
        ephemeral=parse_filter(room.get("ephemeral", {})),
        room_account_data=parse_filter(room.get("account_data", {})),
        account_data=parse_filter(value.get("account_data", {})),
        presence=parse_filter(value.get("presence", {})),
        include_leave=include_leave,
        federation_format=form == "federation",
        event_fields=None if fields is None else tuple(fields),
        key=key,
    )
