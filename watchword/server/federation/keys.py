"""The key ring: public keys of other servers, fetched, checked, kept; and the checking of signatures with them.

Keys are kept in rows for good (old events need old keys) and in memory while they are used. Who asks for the keys of one
server at the same time shares one fetch; a server that does not answer, or lacks the key, is not asked again for a while,
so that forged key IDs cost nothing. Spec: server-server-api#retrieving-server-keys
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.signatures import ALGORITHM, VerifyKey, required_signers, signable_event, signatures_of
from watchword.server.federation import tables
from watchword.server.federation.key_fetch import KeyFetch, Taken
from watchword.server.federation.key_rules import KeyAnswer, ServerKey
from watchword.server.federation.own_keys import OwnKeys
from watchword.server.federation.single_flight import SingleFlight
from watchword.server.federation.tables import KeyAnswerRow, KeyRow
from watchword.server.rooms.ports import KeyLacking
from watchword.storage import Database

logger = logging.getLogger(__name__)

_ASK_AGAIN_FIRST_MS = 30_000
_ASK_AGAIN_MOST_MS = 3_600_000
_INLINE_CHECKS_MAX = 4
_ALWAYS = 0


@dataclass(frozen=True, slots=True)
class _Pause:
    """When to ask again. silent_since_ms: since when nobody has answered for the server; None: somebody has."""

    until_ms: int
    failures: int
    silent_since_ms: int | None


@dataclass(slots=True)
class _Check:
    """One event's signature of one server: index into the answers, the bytes, and (key ID, signature) pairs.

    sent_ts: when the event says it was made. at_ts: when the key must be valid, if that matters.
    """

    index: int
    signer: ServerName
    sent_ts: int
    at_ts: int
    message: bytes
    signatures: Sequence[tuple[str, str]]


class KeyRing:
    """Fits `rooms.ports.EventSignatures`. Close it to end its worker threads."""

    def __init__(self, database: Database, own_keys: OwnKeys, fetch: KeyFetch, clock: Clock) -> None:
        self._database = database
        self._own = own_keys
        self._fetch = fetch
        self._clock = clock
        self._known: dict[ServerName, dict[str, ServerKey]] = {}
        self._pauses: dict[ServerName, _Pause] = {}
        self._fetching: SingleFlight[ServerName, None] = SingleFlight()
        self._slots = asyncio.Semaphore(limits.key_fetches_active_max)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="verify")

    def close(self) -> None:
        """End the worker threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # Looking up

    async def key(self, server_name: ServerName, key_id: str, at_ts: int) -> VerifyKey | None:
        """A key of a server that may have signed at that time, fetched if need be; None if there is none."""
        if server_name == self._own.server_name:
            return self._own.verify_key(key_id)
        key = (await self._keys_of(server_name)).get(key_id)
        if key is None or not key.usable_at(at_ts):
            await self.refresh(server_name, {key_id: at_ts})
            key = (await self._keys_of(server_name)).get(key_id)
        return key.verify_key if key is not None and key.usable_at(at_ts) else None

    async def _keys_of(self, server_name: ServerName) -> Mapping[str, ServerKey]:
        known = self._known.get(server_name)
        if known is None:
            async with self._database.read() as tx:
                rows = await tables.server_keys(tx, server_name)
            known = {
                row.key_id: ServerKey(VerifyKey(row.key_id, row.public_key), row.valid_until_ts, row.expired_ts) for row in rows
            }
            if known:
                self._keep(server_name, known)
        return known

    def _keep(self, server_name: ServerName, keys: dict[str, ServerKey]) -> None:
        self._known.pop(server_name, None)
        self._known[server_name] = keys
        if len(self._known) > limits.server_keys_cached_max:
            del self._known[next(iter(self._known))]

    # Fetching

    async def refresh(self, server_name: ServerName, wanted: Mapping[str, int]) -> None:
        """Ask the server, then the notaries, for keys; wanted: key ID → the time it must be valid at. Never raises
        PeerError: what could not be had stays unknown. Nothing happens while the server is being left alone."""
        pause = self._pauses.get(server_name)
        if pause is not None and pause.until_ms > self._clock.monotonic_ms():
            return
        # Whoever invents server names by the thousand must not make a queue that honest servers stand in.
        if self._waiting >= limits.key_fetches_waiting_max:
            return
        self._waiting += 1
        try:
            await self._fetching.run(server_name, lambda: self._refresh(server_name, wanted))
        finally:
            self._waiting -= 1

    async def _refresh(self, server_name: ServerName, wanted: Mapping[str, int]) -> None:
        async with self._slots:
            answered = await self._take(server_name, partial(self._fetch.direct, server_name))
            if not self._has(server_name, wanted):
                for notary in self._fetch.notaries:
                    keys = await self._notary_keys(notary, server_name)
                    ask = partial(self._fetch.by_notary, notary, keys, server_name, wanted)
                    answered = await self._take(server_name, ask) or answered
                    if self._has(server_name, wanted):
                        break
        satisfied = answered and self._has(server_name, wanted)
        now_ms = self._clock.monotonic_ms()
        last = self._pauses.pop(server_name, _Pause(now_ms, 0, None))
        failures = 0 if satisfied else last.failures + 1
        wait = min(_ASK_AGAIN_FIRST_MS << min(max(failures - 1, 0), 10), _ASK_AGAIN_MOST_MS)
        silent_since_ms = now_ms if last.silent_since_ms is None else last.silent_since_ms
        self._pauses[server_name] = _Pause(now_ms + wait, failures, None if answered else silent_since_ms)
        if len(self._pauses) > limits.server_keys_cached_max:
            del self._pauses[next(iter(self._pauses))]

    def _has(self, server_name: ServerName, wanted: Mapping[str, int]) -> bool:
        known = self._known.get(server_name, {})
        return all(key_id in known and known[key_id].usable_at(ts) for key_id, ts in wanted.items())

    async def _notary_keys(self, notary: ServerName, about: ServerName) -> Mapping[str, ServerKey]:
        known = await self._keys_of(notary)
        now = self._clock.now_ms()
        if notary != about and not any(key.usable_at(now) for key in known.values()):
            await self._take(notary, partial(self._fetch.direct, notary))
            known = await self._keys_of(notary)
        return known

    async def _take(self, server_name: ServerName, ask: Callable[[], Awaitable[Taken]]) -> bool:
        """Ask for a key answer, check it and keep it. False if there was none."""
        try:
            raw, answer = await ask()
        except PeerError as error:
            logger.info("Keys of a server could not be had.", extra={"server_name": server_name, "cause": error.reason})
            return False
        await self._save(server_name, raw, answer)
        return True

    async def _save(self, server_name: ServerName, raw: Mapping[str, Any], answer: KeyAnswer) -> None:
        merged = {**await self._keys_of(server_name), **answer.keys}
        rows = [
            KeyRow(server_name, key_id, key.verify_key.public_key, key.valid_until_ts, key.expired_ts)
            for key_id, key in answer.keys.items()
        ]
        now = self._clock.now_ms()
        kept = KeyAnswerRow(server_name, canonical_json.encode(raw, strict=False), now, answer.valid_until_ts)
        async with self._database.write() as tx:
            await tables.save_server_keys(tx, rows)
            await tables.save_key_answer(tx, kept)
        self._keep(server_name, merged)

    # Checking

    async def check_events(self, raws: Sequence[Mapping[str, Any]], version: RoomVersion) -> list[str | None]:
        """One answer per event: None if every required signature is valid, else why not."""
        answers: list[str | None] = [None] * len(raws)
        checks: list[_Check] = []
        for index, raw in enumerate(raws):
            try:
                checks.extend(_checks_of(index, raw, version))
            except (RemoteProtocolError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
                answers[index] = "the event is malformed"
        await self._fetch_missing(checks)
        work: list[tuple[_Check, VerifyKey, str]] = []
        for check in checks:
            pairs = await self._usable(check)
            if not pairs:
                reason = f"no valid signature of {check.signer} by a known key"
                told = answers[check.index]
                # What is for good outweighs what may pass.
                if told is None or isinstance(told, KeyLacking):
                    answers[check.index] = KeyLacking(reason) if await self._may_come(check) else reason
            work += [(check, key, signature) for key, signature in pairs]
        for (check, _, _), valid in zip(work, await self._verify(work), strict=True):
            if not valid:
                answers[check.index] = f"the signature of {check.signer} is wrong"
        return answers

    async def _usable(self, check: _Check) -> list[tuple[VerifyKey, str]]:
        if check.signer == self._own.server_name:
            own = [(self._own.verify_key(key_id), signature) for key_id, signature in check.signatures]
            return [(key, signature) for key, signature in own if key is not None]
        known = await self._keys_of(check.signer)
        return [
            (known[key_id].verify_key, signature)
            for key_id, signature in check.signatures
            if key_id in known and (check.at_ts == _ALWAYS or known[key_id].usable_at(check.at_ts))
        ]

    async def _may_come(self, check: _Check) -> bool:
        """Whether the key may yet be had: the server has not said since the event what its keys are, and were.

        Not if it has been silent for long, or any server in a room could keep another from it by giving it no keys.
        """
        if check.signer == self._own.server_name or not check.signatures:
            return False
        pause = self._pauses.get(check.signer)
        if pause is not None:
            since_ms = pause.silent_since_ms
            if since_ms is None or self._clock.monotonic_ms() - since_ms >= limits.key_patience_ms:
                return False
        async with self._database.read() as tx:
            row = await tables.key_answer(tx, check.signer)
        return row is None or row.fetched_ts < check.sent_ts

    async def _fetch_missing(self, checks: Sequence[_Check]) -> None:
        missing: dict[ServerName, dict[str, int]] = {}
        for check in checks:
            if check.signer == self._own.server_name or not check.signatures or await self._usable(check):
                continue
            wanted = missing.setdefault(check.signer, {})
            for key_id, _ in check.signatures:
                wanted[key_id] = max(wanted.get(key_id, 0), check.at_ts)
        if not missing:
            return
        async with asyncio.TaskGroup() as group:
            for server_name, wanted in missing.items():
                group.create_task(self.refresh(server_name, wanted))

    async def _verify(self, work: Sequence[tuple[_Check, VerifyKey, str]]) -> Sequence[bool]:
        if len(work) <= _INLINE_CHECKS_MAX:
            return _verify_all(work)
        # PyNaCl lets go of the interpreter while it computes: the loop goes on meanwhile.
        return await asyncio.get_running_loop().run_in_executor(self._threads, _verify_all, work)


def _verify_all(work: Sequence[tuple[_Check, VerifyKey, str]]) -> list[bool]:
    return [key.verify(check.message, signature) for check, key, signature in work]


def _checks_of(index: int, raw: Mapping[str, Any], version: RoomVersion) -> list[_Check]:
    message = signable_event(raw, version)
    # "Room versions 1 to 4 do not check when a key was valid."
    sent_ts = int(raw["origin_server_ts"])
    at_ts = sent_ts if version.key_validity_enforced else _ALWAYS
    checks = []
    for signer in required_signers(raw, version):
        signatures = [
            (key_id, signature)
            for key_id, signature in signatures_of(raw, signer).items()
            if isinstance(key_id, str) and key_id.startswith(ALGORITHM + ":")
        ]
        checks.append(_Check(index, signer, sent_ts, at_ts, message, signatures[: limits.keys_per_server_max]))
    return checks
