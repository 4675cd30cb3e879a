"""Publishing, asking for and claiming device keys: gather, decide, commit.

Other servers are asked outside any transaction, in parallel, and for no longer than the client will wait.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, PeerError, Refused
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.changes import Change, DeviceListChanged, KeyCountsChanged
from watchword.server.e2ee import decide, tables
from watchword.server.e2ee.commands import KeysAnswer, KeysUpload, PublishedKey
from watchword.server.e2ee.ports import RemoteDevices
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.e2ee.remote_lists import RemoteLists
from watchword.server.e2ee.within import ask_all
from watchword.storage.database import Database, Tx
from watchword.storage.log import Log

logger = logging.getLogger(__name__)

Wanted = Mapping[UserId, Sequence[DeviceId]]
Claims = Mapping[UserId, Mapping[DeviceId, str]]


@dataclass(frozen=True)
class Keys:
    """Device keys, one-time keys and fallback keys."""

    database: Database
    log: Log[Change]
    clock: Clock
    server_name: ServerName
    reader: E2eeReader
    remote: RemoteDevices
    lists: RemoteLists

    async def upload(self, user_id: UserId, device_id: DeviceId, upload: KeysUpload) -> Mapping[str, int]:
        """Publish keys of a device; return how many one-time keys wait, by algorithm.

        Raises BadRequest if a one-time key exists with other content.
        """
        if not (upload.device_keys or upload.one_time_keys or upload.fallback_keys):
            return (await self.reader.key_counts(user_id, device_id))[0]
        async with self.database.write() as tx:
            return await self.store(tx, user_id, device_id, upload)

    async def store(self, tx: Tx, user_id: UserId, device_id: DeviceId, upload: KeysUpload) -> Mapping[str, int]:
        """`upload` in the caller's transaction."""
        device = await tables.make_device(tx, user_id, device_id)
        if upload.device_keys is not None:
            await self._set_device_keys(tx, (user_id, device_id), device, upload.device_keys)
        counts = await tables.one_time_key_counts(tx, device)
        known = await tables.known_one_time_keys(tx, device, upload.one_time_keys)
        new = decide.new_one_time_keys(upload.one_time_keys, known, sum(counts.values()))
        if isinstance(new, Refused):
            raise new.refusal()
        await tables.add_one_time_keys(tx, device, new)
        changed = len(new)
        for key in upload.fallback_keys:
            changed += await tables.set_fallback_key(tx, device, key)
        left, _ = await self.reader.counts_of(tx, device)
        if changed:
            await self.log.append(tx, KeyCountsChanged(user_id, device_id))
        # Also when nothing changed: "no keys" may be remembered of a device that had no number yet.
        tx.after_commit(lambda: self.reader.keys_changed(user_id, device_id))
        return left

    async def _set_device_keys(self, tx: Tx, name: tuple[UserId, DeviceId], device: int, keys: bytes) -> None:
        user_id, device_id = name
        stored = await tables.keys_of_device(tx, user_id, device_id)
        if stored == keys:
            return
        if stored is not None and not decide.same_key(orjson.loads(stored), orjson.loads(keys)):
            # What was signed is there no longer.
            await tables.delete_signatures_on(tx, user_id, device_id)
        await tables.set_device_keys(tx, device, keys)
        await self.log.append(tx, DeviceListChanged(user_id, device_id))

    async def query(self, viewer: UserId, body: object, timeout_ms: int) -> KeysAnswer:
        """Answer a client's `keys/query`. Spec: client-server-api#post_matrixclientv3keysquery"""
        local, remote = decide.split_by_server(self.server_name, _wanted(body))
        answer = KeysAnswer()
        for user_id, devices in local.items():
            await self.reader.add_local_keys(answer, user_id, devices, viewer)
        uncached: dict[ServerName, dict[UserId, Sequence[DeviceId]]] = {}
        for server_name, users in remote.items():
            for user_id, devices in users.items():
                if not await self.reader.add_cached_keys(answer, user_id, devices, viewer):
                    uncached.setdefault(server_name, {})[user_id] = devices
        if uncached:
            await self._query_others(answer, viewer, uncached, timeout_ms)
        return answer

    async def _query_others(
        self, answer: KeysAnswer, viewer: UserId, wanted: Mapping[ServerName, Wanted], timeout_ms: int
    ) -> None:
        answers = await ask_all(
            self.clock, timeout_ms, {name: partial(self.remote.query_keys, name, users) for name, users in wanted.items()}
        )
        for server_name, found in answers.items():
            if isinstance(found, PeerError):
                logger.info("A server did not answer a key query.", extra={"server_name": server_name})
                answer.failures[server_name] = {"status": 503, "message": "The server could not be reached."}
                continue
            for user_id, devices in wanted[server_name].items():
                _add_remote_keys(answer, user_id, devices, found)
                await self.reader.add_own_signatures(answer, user_id, viewer)
        answered = [name for name, found in answers.items() if not isinstance(found, PeerError)]
        await self.lists.track([user_id for name in answered for user_id in wanted[name]])

    async def query_for_server(self, body: object) -> KeysAnswer:
        """Answer another server's `user/keys/query`: local users only."""
        answer = KeysAnswer()
        for user_id, devices in decide.split_by_server(self.server_name, _wanted(body))[0].items():
            await self.reader.add_local_keys(answer, user_id, devices, None)
        return answer

    async def claim(self, body: object, timeout_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Answer a client's `keys/claim`: (one_time_keys, failures).

        Spec: client-server-api#post_matrixclientv3keysclaim
        """
        local, remote = decide.split_by_server(self.server_name, _claims(body))
        found = await self._claim_here(local)
        answers = await ask_all(
            self.clock, timeout_ms, {name: partial(self.remote.claim_keys, name, users) for name, users in remote.items()}
        )
        failures: dict[str, Any] = {}
        for server_name, answer in answers.items():
            if isinstance(answer, PeerError):
                logger.info("A server did not answer a key claim.", extra={"server_name": server_name})
                failures[server_name] = {"status": 503, "message": "The server could not be reached."}
            else:
                _add_remote_claims(found, remote[server_name], answer)
        return found, failures

    async def claim_for_server(self, body: object) -> dict[str, Any]:
        """Answer another server's `user/keys/claim`: local users only."""
        return await self._claim_here(decide.split_by_server(self.server_name, _claims(body))[0])

    async def _claim_here(self, claims: Claims) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not claims:
            return found
        # One transaction at a time: what is taken here nobody else can see.
        async with self.database.write() as tx:
            for user_id, devices in claims.items():
                for device_id, algorithm in devices.items():
                    key = await self._take(tx, user_id, device_id, algorithm)
                    if key is not None:
                        named = {f"{key.algorithm}:{key.key_id}": orjson.loads(key.content)}
                        found.setdefault(user_id, {})[device_id] = named
        return found

    async def _take(self, tx: Tx, user_id: UserId, device_id: DeviceId, algorithm: str) -> PublishedKey | None:
        device = await tables.device_number(tx, user_id, device_id)
        if device is None:
            return None
        key = await tables.take_one_time_key(tx, device, algorithm)
        if key is None:
            fallback = await tables.fallback_key(tx, device, algorithm)
            if fallback is None:
                return None
            key, is_used = fallback
            if is_used:
                return key
            await tables.mark_fallback_key_used(tx, device, algorithm)
        else:
            await tables.forget_claimed_keys(tx, device, limits.claimed_keys_remembered_max)
        await self.log.append(tx, KeyCountsChanged(user_id, device_id))
        tx.after_commit(lambda: self.reader.keys_changed(user_id, device_id))
        return key


def _wanted(body: object) -> Mapping[str, Sequence[DeviceId]]:
    if not isinstance(body, dict) or len(body) > limits.keys_query_users_max:
        raise BadRequest("M_BAD_JSON", "device_keys must be an object of a bearable size.")
    for devices in body.values():
        if not isinstance(devices, list) or not all(isinstance(device_id, str) for device_id in devices):
            raise BadRequest("M_BAD_JSON", "device_keys must map users to lists of device IDs.")
    return body


def _claims(body: object) -> Mapping[str, Mapping[DeviceId, str]]:
    if not isinstance(body, dict) or len(body) > limits.keys_query_users_max:
        raise BadRequest("M_BAD_JSON", "one_time_keys must be an object of a bearable size.")
    for devices in body.values():
        if not isinstance(devices, dict) or not all(isinstance(algorithm, str) for algorithm in devices.values()):
            raise BadRequest("M_BAD_JSON", "one_time_keys must map users to devices to algorithms.")
    return body


def _add_remote_keys(answer: KeysAnswer, user_id: UserId, wanted: Sequence[DeviceId], found: Mapping[str, Any]) -> None:
    """Take from another server's answer what concerns a user, as far as its shape is right."""
    devices = _part(found, "device_keys").get(user_id)
    if isinstance(devices, dict):
        shown = {}
        for device_id, content in devices.items():
            # Rebuilt, not passed on: what has no place in it may be anything.
            keys = decide.device_keys(content, user_id, device_id)
            if not isinstance(keys, Refused) and (not wanted or device_id in wanted):
                shown[device_id] = {**orjson.loads(keys), **decide.shown_name(content)}
        answer.device_keys[user_id] = shown
    for usage, target in ((decide.MASTER, answer.master_keys), (decide.SELF_SIGNING, answer.self_signing_keys)):
        key = decide.cross_signing_key(_part(found, f"{usage}_keys").get(user_id), user_id, usage)
        if not isinstance(key, Refused):
            target[user_id] = key


def _add_remote_claims(found: dict[str, Any], claims: Claims, answer: Mapping[str, Any]) -> None:
    """Take from another server's answer what was asked for: one key of the right algorithm for each device."""
    for user_id, devices in _part(answer, "one_time_keys").items():
        asked = claims.get(UserId(user_id))
        if asked is None or not isinstance(devices, dict):
            continue
        for device_id, keys in devices.items():
            if device_id in asked and isinstance(keys, dict):
                checked = decide.published_keys(keys, "one_time_keys")
                if not isinstance(checked, Refused) and [key.algorithm for key in checked] == [asked[device_id]]:
                    found.setdefault(user_id, {})[device_id] = keys


def _part(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = answer.get(name)
    return part if isinstance(part, dict) else {}
