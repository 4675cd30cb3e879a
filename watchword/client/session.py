"""A signed-in device: the asyncio shell around the crypto machine.

Make one with `Session.register`, `Session.login` or `Session.restore`, then use it as a context: inside, two tasks run,
one that syncs and one that carries out what the machine wants. Everything the server tells comes out of `events` in order.

    async with await Session.login(settings, "alice", "secret", clock, entropy) as session:
        await session.synced()
        await session.send_text(room_id, "Hello")

The order of a sync: take in what concerns encryption, read the timeline, make all of it durable together with the token,
tell the user, and only then use the token, which lets the server forget the to-device messages. The order of a sending:
share the key, encrypt, make the moved ratchet durable, send; one message at a time for each room.

Deliberately absent: a stored history (`messages` asks the server), read markers, spaces, calls, push.
Spec: client-server-api
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError, RemoteProtocolError, StorageError, WatchwordError
from watchword.client import attachments
from watchword.client.api import ClientApi, sync_filter
from watchword.client.courier import Courier
from watchword.client.crypto.failures import NotPrepared
from watchword.client.crypto.inbound import SenderTrust
from watchword.client.crypto.machine import CryptoMachine
from watchword.client.crypto.requests import RoomKeyReceived
from watchword.client.crypto.untrusted import object_at, text_at
from watchword.client.crypto.verification import Verification
from watchword.client.events import (
    EventStream,
    RoomEvent,
    SessionEnded,
    SessionEvent,
    SyncInterrupted,
    TimelineEvent,
)
from watchword.client.http import SignedOut, tokens_of
from watchword.client.recovery import Recovery
from watchword.client.rooms import RoomBook
from watchword.client.sync import SyncReader
from watchword.client.timeline import Timeline
from watchword.client.uia import Credentials
from watchword.client.wire import ClientSettings, SessionRow, Wire

logger = logging.getLogger(__name__)

_TIMELINE_LIMIT = 50
_RETRY_MS_MAX = 10_000
_ROOM_WAIT_MS = 30_000
_KEY_RETRY_MS = 2_000
_ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}

E = TypeVar("E")


class NotSignedIn(WatchwordError):
    """The store holds no session."""


@dataclass(frozen=True)
class MessagesPage:
    """A piece of a room's history. end: where the next piece begins, None if there is nothing beyond."""

    events: Sequence[TimelineEvent]
    end: str | None


class Session:
    """One device of one user, signed in. All methods raise PeerError when the server refuses or stays away."""

    def __init__(self, settings: ClientSettings, wire: Wire, clock: Clock, entropy: Entropy) -> None:
        self._settings = settings
        self._store = wire.store
        self._wire = wire
        self._clock = clock
        self._entropy = entropy
        self._rows = wire.rows
        row = self._row()
        self.user_id = row.user_id
        self.device_id = row.device_id
        self.api = ClientApi(wire.server)
        self.machine = CryptoMachine(row.user_id, row.device_id, wire.store.records, wire.store.pickle_key, clock, entropy)
        self.rooms = RoomBook(wire.store.records)
        self.events = EventStream()
        self._timeline = Timeline(self.machine)
        self._reader = SyncReader(self.machine, self.rooms, self._timeline, row.user_id)
        self._courier = Courier(self.api, self.machine, wire.store)
        self._recovery = Recovery(self.api, self.machine, self._courier, entropy)
        self._sending: dict[str, asyncio.Lock] = {}
        self._work = asyncio.Event()
        self._first_sync = asyncio.Event()
        self._next_try_ms: dict[tuple[str, str], tuple[int, int]] = {}
        """For keys asked for in the backup: how long was waited last, and when to ask again."""
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # Signing in

    @classmethod
    async def register(
        cls,
        settings: ClientSettings,
        username: str,
        password: str,
        clock: Clock,
        entropy: Entropy,
        *,
        registration_token: str | None = None,
    ) -> Self:
        """Make an account, by invitation if the server asks for one; a session on its first device.

        Raises PeerError; errcode M_FORBIDDEN or status 401 when the invitation is missing or not valid.
        """
        wire = await Wire.open(settings, clock, entropy)
        credentials = Credentials(username, password, registration_token, accept_terms=True)
        async with wire.closing_on_failure():
            answer = await ClientApi(wire.server).register(username, password, settings.device_name, credentials)
            return await cls._signed_in(settings, wire, answer, clock, entropy)

    @classmethod
    async def login(cls, settings: ClientSettings, user: str, password: str, clock: Clock, entropy: Entropy) -> Self:
        """Sign in a new device, or the stored one again if its session ended softly. user: local part or whole ID."""
        wire = await Wire.open(settings, clock, entropy)
        row = wire.rows.get("own")
        async with wire.closing_on_failure():
            device_id = None if row is None else row.device_id
            answer = await ClientApi(wire.server).login(user, password, settings.device_name, device_id)
            return await cls._signed_in(settings, wire, answer, clock, entropy)

    @classmethod
    async def _signed_in(
        cls, settings: ClientSettings, wire: Wire, answer: Mapping[str, Any], clock: Clock, entropy: Entropy
    ) -> Self:
        user_id, device_id = text_at(answer, "user_id"), text_at(answer, "device_id")
        if user_id is None or device_id is None:
            raise PeerError(settings.base_url, "the answer names no user or device")
        old = wire.rows.get("own")
        if old is not None and (old.user_id, old.device_id) != (user_id, device_id):
            raise StorageError("the store belongs to another device")
        wire.rows.put("own", old or SessionRow(user_id, device_id, ""))
        await wire.server.keep(tokens_of(answer, clock.now_ms()))
        session = cls(settings, wire, clock, entropy)
        await session._courier.settle()
        return session

    @classmethod
    async def restore(cls, settings: ClientSettings, clock: Clock, entropy: Entropy) -> Self:
        """Go on with the device that the store holds; asks the server nothing. Raises NotSignedIn, WrongStoreKey."""
        wire = await Wire.open(settings, clock, entropy)
        async with wire.closing_on_failure():
            if wire.rows.get("own") is None:
                raise NotSignedIn("the store holds no session")
            return cls(settings, wire, clock, entropy)

    async def logout(self) -> None:
        """Sign this device out: the server forgets it, and the store everything."""
        self._stop()
        await self.api.logout()
        await self._store.wipe()

    # Running

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self._sync_loop()), self._group.create_task(self._work_loop())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            # The group may see that it was cancelled; an error of the block goes on as it is, not wrapped in a group.
            if self._group is not None:
                await (self._group.__aexit__(kind, error, trace) if cancelled else self._group.__aexit__(None, None, None))
        finally:
            self._group = None
            await self.close()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Save and close everything. Idempotent; leaving the context does it."""
        self._stop()
        try:
            await self._store.save()
        except StorageError:
            logger.info("the store was closed already")
        await self._wire.close()

    def _row(self) -> SessionRow:
        row = self._rows.get("own")
        assert row is not None
        return row

    async def _sync_loop(self) -> None:
        wait_ms = 0
        while True:
            try:
                await self._sync_once(0 if not self._first_sync.is_set() else self._settings.sync_timeout_ms)
                wait_ms = 0
            except SignedOut as error:
                await self.events.publish([SessionEnded(error.soft)])
                return
            except PeerError as error:
                if wait_ms == 0:
                    await self.events.publish([SyncInterrupted(error.errcode or "")])
                wait_ms = min(max(2 * wait_ms, 100), _RETRY_MS_MAX)
                pause_ms = int(wait_ms * (0.5 + self._entropy.fraction()))
                await self._clock.sleep(max(pause_ms, error.retry_after_ms or 0))

    async def _sync_once(self, timeout_ms: int) -> None:
        since = self._row().next_batch
        answer = await self.api.sync(since, timeout_ms, sync_filter(_TIMELINE_LIMIT))
        next_batch = text_at(answer, "next_batch")
        if next_batch is None:
            raise PeerError(self._settings.base_url, "a sync has no next_batch")
        events: list[SessionEvent] = self._reader.read(answer)
        events += self._news()
        self._rows.put("own", msgspec.structs.replace(self._row(), next_batch=next_batch))
        await self._store.save()
        await self.events.publish(events)
        self._first_sync.set()
        self._work.set()

    def _news(self) -> list[SessionEvent]:
        """The machine's notices, and the events that became readable."""
        news: list[SessionEvent] = []
        for notice in self.machine.take_notices():
            news.append(notice)
            if isinstance(notice, RoomKeyReceived):
                news += self._timeline.retry(notice.room_id, notice.session_id)
        return news

    async def _work_loop(self) -> None:
        wait_ms = 0
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                error = await self._courier.settle()
                await self._fetch_missing_keys()
            except SignedOut:
                return
            except PeerError as failed:
                error = failed
            await self.events.publish(self._news())
            wait_ms = 0 if error is None else min(max(2 * wait_ms, 1_000), _RETRY_MS_MAX)
            if error is not None:
                await self._clock.sleep(wait_ms)
                self._work.set()

    async def _fetch_missing_keys(self) -> None:
        """Ask the backup for keys that events wait for, each less and less often."""
        if self.machine.backup.secret is None:
            return
        for missing in self._timeline.missing():
            waited_ms, next_ms = self._next_try_ms.get(missing, (_KEY_RETRY_MS, 0))
            if self._clock.monotonic_ms() < next_ms:
                continue
            self._next_try_ms[missing] = (2 * waited_ms, self._clock.monotonic_ms() + waited_ms)
            if await self._recovery.restore(*missing):
                await self._store.save()
                self._next_try_ms.pop(missing, None)
                await self.events.publish(list(self._timeline.retry(*missing)))

    async def synced(self) -> None:
        """Wait until the first sync of this run is done."""
        await self._first_sync.wait()

    async def settle(self) -> None:
        """Carry out now everything that is outstanding. Raises PeerError."""
        error = await self._courier.settle()
        await self.events.publish(self._news())
        if error is not None:
            raise error

    def follow(self) -> AsyncIterator[SessionEvent]:
        """Every event from now on."""
        return self.events.follow()

    async def wait_for(self, wanted: Callable[[SessionEvent], E | None], timeout_ms: int = 10_000) -> E:
        """The first result of `wanted` that is not None, among past (up to 10,000) and coming events. Raises TimeoutError."""
        return await self.events.wait_for(wanted, timeout_ms)

    async def wait_for_message(self, room_id: str, body: str, timeout_ms: int = 10_000) -> RoomEvent:
        """The first message of that text in that room. Raises TimeoutError."""

        def wanted(event: SessionEvent) -> RoomEvent | None:
            return event if isinstance(event, RoomEvent) and (event.room_id, event.body) == (room_id, body) else None

        return await self.wait_for(wanted, timeout_ms)

    async def wait_for_member(self, room_id: str, user_id: str, membership: str = "join", timeout_ms: int = 10_000) -> None:
        """Return once that user has that membership in that room, as this device sees it. Raises TimeoutError."""

        def wanted(_: SessionEvent | None) -> bool | None:
            room = self.rooms.get(room_id)
            return True if room is not None and room.members.get(user_id) == membership else None

        if not wanted(None):
            await self.events.wait_for(wanted, timeout_ms, self.events.position)

    # Rooms

    async def create_room(
        self,
        *,
        name: str | None = None,
        invite: Sequence[str] = (),
        encrypted: bool = True,
        preset: str = "private_chat",
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Make a room and wait until this device sees it; its ID. options: anything else for the body."""
        body: dict[str, Any] = {"preset": preset, "invite": list(invite), **(options or {})}
        if name is not None:
            body["name"] = name
        if encrypted:
            state = [*body.get("initial_state", ()), {"type": "m.room.encryption", "state_key": "", "content": _ENCRYPTION}]
            body["initial_state"] = state
        room_id = await self.api.create_room(body)
        await self._room_seen(room_id)
        return room_id

    async def join(self, room: str, via: Sequence[str] = ()) -> str:
        """Join by ID or alias, or accept an invitation; wait until this device sees the room. Its ID."""
        room_id = await self.api.join(room, tuple(via))
        await self._room_seen(room_id)
        return room_id

    async def _room_seen(self, room_id: str) -> None:
        """Never send by guess: whether a room is encrypted is known from a sync that has it."""

        def seen(_: SessionEvent | None) -> bool | None:
            room = self.rooms.get(room_id)
            return True if room is not None and room.row.membership == "join" else None

        if seen(None):
            return
        try:
            await self.events.wait_for(seen, _ROOM_WAIT_MS, self.events.position)
        except TimeoutError as error:
            raise PeerError(self._settings.base_url, "the room does not appear in a sync") from error

    async def invite(self, room_id: str, user_id: str) -> None:
        """Invite a user."""
        await self.api.invite(room_id, user_id)

    async def leave(self, room_id: str) -> None:
        """Leave a room, or decline an invitation."""
        await self.api.leave(room_id)

    async def kick(self, room_id: str, user_id: str, reason: str = "") -> None:
        """Remove a user from a room."""
        await self.api.change_membership(room_id, "kick", user_id, reason)

    async def enable_encryption(self, room_id: str) -> None:
        """Encrypt a room from now on; there is no way back."""
        await self.api.send_state(room_id, "m.room.encryption", "", _ENCRYPTION)
        self.machine.receive_room_state(room_id, "m.room.encryption", "", _ENCRYPTION)
        self.rooms.receive_state(room_id, {"type": "m.room.encryption", "state_key": "", "content": _ENCRYPTION})
        await self._store.save()

    # Messages

    async def send_text(self, room_id: str, text: str, *, transaction_id: str | None = None) -> str:
        """Send a text message; the event ID."""
        content = {"msgtype": "m.text", "body": text}
        return await self.send_event(room_id, "m.room.message", content, transaction_id=transaction_id)

    async def send_event(
        self, room_id: str, event_type: str, content: Mapping[str, Any], *, transaction_id: str | None = None
    ) -> str:
        """Send an event, encrypted if the room is; the event ID.

        transaction_id: give one that you stored to make a repetition after a crash harmless.
        Raises PeerError, IdentitiesChanged (see `acknowledge_identity`), NotPrepared if we are not in the room.
        """
        transaction_id = transaction_id or self._entropy.token(12)
        async with self._sending.setdefault(room_id, asyncio.Lock()):
            room = self.rooms.get(room_id)
            if room is None or room.row.membership != "join":
                raise NotPrepared("this device does not know the room, or is not in it")
            if self.machine.room_settings(room_id) is None:
                return await self.api.send(room_id, event_type, transaction_id, content)
            encrypted = await self._encrypt(room_id, event_type, content)
            event_id = await self.api.send(room_id, "m.room.encrypted", transaction_id, encrypted)
        self._work.set()
        return event_id

    async def _encrypt(self, room_id: str, event_type: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        while True:
            members = self.rooms.readers(room_id)
            await self._courier.prepare_room(room_id, members)
            if members == self.rooms.readers(room_id):
                break  # Else somebody came or left while the key was shared.
        encrypted = self.machine.encrypt(room_id, event_type, content, members)
        await self._store.save()
        return encrypted

    async def redact(self, room_id: str, event_id: str, reason: str | None = None) -> str:
        """Take an event back; the redaction's event ID."""
        return await self.api.redact(room_id, event_id, self._entropy.token(12), reason)

    async def messages(
        self, room_id: str, *, start: str | None = None, limit: int = 50, backwards: bool = True
    ) -> MessagesPage:
        """Read history from the server, newest first (or oldest first), decrypted as far as keys are here."""
        answer = await self.api.messages(room_id, "b" if backwards else "f", start, limit)
        chunk = answer.get("chunk")
        events = [self._timeline.read(room_id, raw) for raw in (chunk if isinstance(chunk, list) else ())]
        await self._store.save()
        self._work.set()
        return MessagesPage([event for event in events if event is not None], text_at(answer, "end"))

    # Attachments

    async def send_attachment(
        self, room_id: str, data: bytes, *, file_name: str, mime_type: str, msgtype: str = "m.file"
    ) -> str:
        """Upload a file, encrypted if the room is, and send the message for it; the event ID."""
        content: dict[str, Any] = {
            "msgtype": msgtype,
            "body": file_name,
            "filename": file_name,
            "info": {"mimetype": mime_type, "size": len(data)},
        }
        if self.machine.room_settings(room_id) is None:
            content["url"] = await self.api.upload(data, mime_type, file_name)
        else:
            ciphertext, encryptor = attachments.encrypt(data, self._entropy)
            uri = await self.api.upload(ciphertext, "application/octet-stream", None)
            content["file"] = encryptor.describe(uri)
        return await self.send_event(room_id, "m.room.message", content)

    async def download_attachment(self, content: Mapping[str, Any]) -> bytes:
        """The file of a message. Raises TamperedAttachment, RemoteProtocolError if the content has none."""
        file = object_at(content, "file")
        uri = text_at(file, "url") if file else text_at(content, "url")
        server_name, _, media_id = (uri or "").removeprefix("mxc://").partition("/")
        if uri is None or not uri.startswith("mxc://") or not server_name or not media_id:
            raise RemoteProtocolError("a message has no attachment")
        data = await self.api.download(server_name, media_id)
        return attachments.decrypt(data, file) if file else data

    # Identity

    async def bootstrap(self, password: str) -> str:
        """Make cross-signing keys, key backup and secret storage; the recovery key, to be written down.

        Replaces an identity that the user may have had.
        """
        recovery_key = await self._recovery.bootstrap(password)
        await self.events.publish(self._news())
        return recovery_key

    async def recover(self, recovery_key: str) -> int:
        """Verify this device with the recovery key and restore the backup; how many room keys are new.

        Events that waited for a key come out of `events`. Raises WrongRecoveryKey.
        """
        count = await self._recovery.recover(recovery_key)
        await self._store.save()
        await self.events.publish([*self._news(), *self._timeline.retry_all()])
        return count

    async def restore_backup(self, room_id: str | None = None, session_id: str | None = None) -> int:
        """Fetch room keys again: all, of one room, or one session; how many are new."""
        count = await self._recovery.restore(room_id, session_id)
        await self._store.save()
        await self.events.publish(list(self._timeline.retry_all()))
        return count

    async def join_backup(self) -> bool:
        """Upload room keys to the backup that the server has, if it is signed by us; whether one is in use."""
        used = await self._recovery.join_backup()
        self._work.set()
        return used

    @property
    def is_verified(self) -> bool:
        """Whether this device is signed by our own, trusted identity."""
        device = self.machine.devices.device(self.user_id, self.device_id)
        identity = self.machine.devices.identity(self.user_id)
        trusted = self.machine.devices.own_identity_is_trusted
        return trusted and device is not None and identity is not None and device.signed_by == identity.self_signing

    def trust_of(self, event: RoomEvent) -> SenderTrust | None:
        """Who really sent an event, as far as is known now; None if it was not encrypted."""
        if event.trust is None:
            return None
        return self.machine.sender_trust(event.room_id, event.session_id, event.sender)

    async def acknowledge_identity(self, user_id: str) -> None:
        """Go on in spite of a changed identity, without verifying it."""
        self.machine.devices.acknowledge_identity(user_id)
        await self._store.save()

    # Verification

    async def request_verification(self, user_id: str) -> str:
        """Ask another user, or our own other devices, to verify; the transaction ID."""
        self.machine.devices.track([user_id])
        await self._courier.settle()
        transaction_id = self.machine.verifications.request(user_id)
        await self.settle()
        return transaction_id

    async def verification_step(self, transaction_id: str, step: str) -> None:
        """step: "accept" their request, "start" comparing, "confirm" that it matches, or "cancel"."""
        verifications = self.machine.verifications
        steps = {
            "accept": verifications.accept,
            "start": verifications.start,
            "confirm": verifications.confirm,
            "cancel": verifications.cancel,
        }
        await self._courier.settle()  # The other side's keys must be known before they are compared.
        steps[step](transaction_id)
        await self.settle()

    def verification(self, transaction_id: str) -> Verification | None:
        """A verification by its ID: its stage, and the string to compare."""
        return self.machine.verifications.get(transaction_id)
