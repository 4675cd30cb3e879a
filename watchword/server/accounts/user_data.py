"""Account data, room tags and filters: what a user's clients keep here for one another."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import Forbidden, NotFound, TooLarge
from watchword.protocol.ids import RoomId, UserId
from watchword.server.accounts import tables_user_data
from watchword.server.accounts.decide import account_data_refusal, tag_refusal, tags_in
from watchword.server.accounts.decide_filters import filter_refusal
from watchword.server.accounts.stored_json import stored_json
from watchword.server.changes import AccountDataChanged, Change
from watchword.storage import Database, Log, Position, Tx

TAGS = "m.tag"


@dataclass(frozen=True)
class UserData:
    """Writes account data, tags and filters."""

    database: Database
    log: Log[Change]

    async def put_account_data(
        self, tx: Tx, user_id: UserId, room_id: RoomId | None, data_type: str, content: Mapping[str, Any]
    ) -> Position:
        """Write in the caller's transaction, any type: for features that control one. Raises TooLarge, BadRequest."""
        encoded = stored_json(content)
        if len(encoded) > limits.account_data_bytes_max:
            raise TooLarge("This account data is too large.")
        position = await self.log.append(tx, AccountDataChanged(user_id, room_id, data_type))
        await tables_user_data.put_account_data(tx, user_id, room_id, data_type, encoded, position)
        return position

    async def set_account_data(
        self, user_id: UserId, room_id: RoomId | None, data_type: str, content: Mapping[str, Any]
    ) -> None:
        """What a client writes. Raises Refusal 405 M_BAD_JSON for types that the server controls, TooLarge.

        Spec: client-server-api#put_matrixclientv3useruseridaccount_datatype
        """
        refused = account_data_refusal(data_type)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            await self.put_account_data(tx, user_id, room_id, data_type, content)

    async def delete_account_data(self, user_id: UserId, room_id: RoomId | None, data_type: str) -> None:
        """Delete what a client wrote; clients that have it see it become {}. Harmless if there is nothing.

        Raises Refusal 405 M_BAD_JSON for types that the server controls. Spec: proposals/3391
        """
        refused = account_data_refusal(data_type)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            if await tables_user_data.account_data(tx, user_id, room_id, data_type) is not None:
                position = await self.log.append(tx, AccountDataChanged(user_id, room_id, data_type))
                await tables_user_data.put_account_data(tx, user_id, room_id, data_type, b"", position)

    async def set_tag(self, user_id: UserId, room_id: RoomId, tag: str, content: Mapping[str, Any]) -> None:
        """Tag a room. Raises BadRequest. Spec: client-server-api#room-tagging"""
        refused = tag_refusal(tag, content)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            tags = await self._tags(tx, user_id, room_id)
            tags[tag] = dict(content)
            await self.put_account_data(tx, user_id, room_id, TAGS, {"tags": tags})

    async def delete_tag(self, user_id: UserId, room_id: RoomId, tag: str) -> None:
        """Take a tag away; harmless if the room does not have it."""
        async with self.database.write() as tx:
            tags = await self._tags(tx, user_id, room_id)
            if tags.pop(tag, None) is not None:
                await self.put_account_data(tx, user_id, room_id, TAGS, {"tags": tags})

    async def _tags(self, tx: Tx, user_id: UserId, room_id: RoomId) -> dict[str, Any]:
        content = await tables_user_data.account_data(tx, user_id, room_id, TAGS)
        return {} if content is None else tags_in(orjson.loads(content))

    async def store_filter(self, user_id: UserId, definition: Mapping[str, Any]) -> str:
        """Keep a filter; the same one gets the same ID. Raises BadRequest, TooLarge, Forbidden if there are too many.

        Spec: client-server-api#post_matrixclientv3useruseridfilter
        """
        refused = filter_refusal(definition)
        if refused is not None:
            raise refused.error()
        content = stored_json(definition)
        if len(content) > limits.filter_bytes_max:
            raise TooLarge("This filter is too large.")
        digest = hashlib.sha256(orjson.dumps(definition, option=orjson.OPT_SORT_KEYS)).digest()
        async with self.database.read() as view:
            known = await tables_user_data.filter_by_digest(view, user_id, digest)
        if known is not None:
            return str(known)
        async with self.database.write() as tx:
            known = await tables_user_data.filter_by_digest(tx, user_id, digest)
            if known is None:
                known = await tables_user_data.last_filter(tx, user_id) + 1
                if known >= limits.filters_per_user_max:
                    raise Forbidden("You have too many filters.", "M_RESOURCE_LIMIT_EXCEEDED")
                await tables_user_data.insert_filter(tx, user_id, known, digest, content)
        return str(known)


def found(content: bytes | None) -> bytes:
    """What was looked up. Raises NotFound."""
    if content is None:
        raise NotFound("This is not stored here.")
    return content
