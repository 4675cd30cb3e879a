"""Profiles of local users, and a look at those of others through a port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError, Refusal
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId, domain_of
from watchword.server.accounts import tables_user_data
from watchword.server.accounts.commands import AccountSettings
from watchword.server.accounts.decide import profile_bytes, profile_key_refusal, profile_value_refusal
from watchword.server.accounts.ports import ProfileVisibility, RemoteProfiles
from watchword.server.accounts.presence import PresenceBook
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.stored_json import stored_json
from watchword.server.changes import Change, ProfileChanged
from watchword.storage import Database, Log

_SHOWN_FIELDS = ("displayname", "avatar_url")


@dataclass(frozen=True)
class Profiles:
    """Reads and changes profiles."""

    database: Database
    log: Log[Change]
    settings: AccountSettings
    reader: AccountReader
    remote: RemoteProfiles
    presence: PresenceBook
    visibility: ProfileVisibility | None = None

    async def profile(self, requester: Requester | None, user_id: UserId, field: str | None = None) -> Mapping[str, Any]:
        """A profile, or one field of it. Raises NotFound; Forbidden to strangers who ask for users elsewhere.

        Where profiles are restricted, Forbidden also to those to whom the user is nobody, whether he exists or not.
        Spec: client-server-api#get_matrixclientv3profileuserid
        """
        await self._check_visible(requester, user_id)
        if domain_of(user_id) == self.settings.server_name:
            fields = await self.for_federation(user_id, field)
        else:
            if requester is None:
                raise Forbidden("Log in to see users of other servers.")
            fields = await self._remote(user_id, field)
        if field is None:
            return fields
        if field not in fields:
            raise NotFound("This is not in the profile.")
        return {field: fields[field]}

    async def _check_visible(self, requester: Requester | None, user_id: UserId) -> None:
        if self.visibility is None or (requester is not None and (requester.is_admin or requester.user_id == user_id)):
            return
        viewer = None if requester is None else requester.user_id
        if not await self.visibility.may_see_profile(viewer, user_id):
            raise Forbidden("You share no room with this user.")

    async def for_federation(self, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        """A local user's profile, or {field: value}, or {} if that is not set. Raises NotFound.

        Spec: server-server-api#get_matrixfederationv1queryprofile
        """
        if not await self.reader.exists_or_made(user_id):
            raise NotFound("There is no such user.")
        fields = await self.reader.profile(user_id)
        if field is None:
            return fields
        return {field: fields[field]} if field in fields else {}

    async def _remote(self, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        try:
            fields = await self.remote.query_profile(domain_of(user_id), user_id, field)
        except PeerError as error:
            if error.status in (403, 404):
                raise NotFound("There is no such profile.") from error
            raise Refusal("M_UNKNOWN", "The server of this user did not answer.", status=502) from error
        if not isinstance(fields, Mapping):
            raise Refusal("M_UNKNOWN", "The server of this user answered with something else.", status=502)
        # What a peer says of the protocol's own fields must have their shape; clients trust it.
        return {key: value for key, value in fields.items() if profile_value_refusal(key, value) is None}

    async def set_field(self, requester: Requester, user_id: UserId, field: str, value: object) -> None:
        """Set one field. Raises Forbidden, BadRequest M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE, M_INVALID_PARAM, M_BAD_JSON.

        Spec: client-server-api#put_matrixclientv3profileuseridkeyname
        """
        _require_own(requester, user_id, field)
        refused = profile_key_refusal(field) or profile_value_refusal(field, value)
        if refused is not None:
            raise refused.error()
        if field == "avatar_url" and value == "":
            await self.delete_field(requester, user_id, field)
            return
        await self.store_field(user_id, field, value)

    async def store_field(self, user_id: UserId, field: str, value: object) -> None:
        """Store a field that was checked. News only if it changed. Raises BadRequest M_PROFILE_TOO_LARGE."""
        encoded = stored_json(value)
        async with self.database.write() as tx:
            fields = dict(await tables_user_data.profile(tx, user_id))
            if field in fields and _is_same(fields[field], encoded):
                return
            fields[field] = encoded
            if profile_bytes(fields) > limits.profile_bytes_max:
                raise BadRequest("M_PROFILE_TOO_LARGE", "A profile has at most 64 KiB.")
            await tables_user_data.set_profile_field(tx, user_id, field, encoded)
            await self.log.append(tx, ProfileChanged(user_id, field))
        if field in _SHOWN_FIELDS:
            await self.presence.show(user_id, field, value if isinstance(value, str) else None)

    async def delete_field(self, requester: Requester, user_id: UserId, field: str) -> None:
        """Take one field away; harmless if it is not set. Raises Forbidden, BadRequest.

        Spec: client-server-api#delete_matrixclientv3profileuseridkeyname
        """
        _require_own(requester, user_id, field)
        refused = profile_key_refusal(field)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            deleted = await tables_user_data.delete_profile_field(tx, user_id, field)
            if deleted:
                await self.log.append(tx, ProfileChanged(user_id, field))
        if deleted and field in _SHOWN_FIELDS:
            await self.presence.show(user_id, field, None)


def _require_own(requester: Requester, user_id: UserId, field: str) -> None:
    if requester.user_id != user_id:
        raise Forbidden("You may only change your own profile.")
    if requester.is_suspended:
        raise Forbidden("This account is suspended.", "M_USER_SUSPENDED")
    if requester.is_guest and field != "displayname":
        raise Forbidden("Guests may only set their display name.", "M_GUEST_ACCESS_FORBIDDEN")


def _is_same(stored: bytes, encoded: bytes) -> bool:
    # Key order is not a change.
    return stored == encoded or bool(
        orjson.dumps(orjson.loads(stored), option=orjson.OPT_SORT_KEYS)
        == orjson.dumps(orjson.loads(encoded), option=orjson.OPT_SORT_KEYS)
    )
