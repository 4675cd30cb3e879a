"""Files by the SHA-256 of their bytes, in a folder of this server.

    <root>/temporary/<name>     being written; emptied at start
    <root>/files/ab/cd/<hex>    whole and durable
    <root>/condemned/<hex>      nobody names it; about to go (see `condemn`)
    <root>/empty                the working folder of limited processes

A file is written to its end, synced and renamed; then its folder is synced. So a name under `files` always stands for the
whole content, also after a power cut. All disk work happens in a few threads, in pieces of `limits.file_piece_bytes`.
"""

import asyncio
import hashlib
import os
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from watchword.base import limits
from watchword.base.entropy import Entropy
from watchword.base.errors import StorageError
from watchword.server.media.commands import StoredFile
from watchword.server.media.decide_ranges import Part

T = TypeVar("T")
_NAME = re.compile("[0-9a-f]{64}")


class Files:
    """The media store on a local disk. Call `start` before anything else, `close` at the end."""

    def __init__(self, root: Path, entropy: Entropy, *, threads: int = 4) -> None:
        self.empty_folder = root / "empty"
        self._temporary = root / "temporary"
        self._condemned = root / "condemned"
        self._files = root / "files"
        self._entropy = entropy
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="media")
        self._pins = _Pins()

    async def start(self) -> int:
        """Make the folders, and drop what a crash left half-written; return how many files that was."""
        return await self._in_thread(self._clean)

    async def close(self) -> None:
        """Wait for what is being read or written."""
        self._pool.shutdown(wait=True)

    # Writing

    @asynccontextmanager
    async def storing(self, pieces: AsyncIterator[bytes], bytes_max: int) -> AsyncGenerator[StoredFile | None, None]:
        """Store bytes as they come, and keep them from being condemned until the block ends: name them inside it.

        None, and nothing left behind, if they are more than bytes_max. Raises StorageError if the disk refuses, and
        whatever `pieces` raises; nothing is left behind then, either.
        """
        file = _Unfinished(self._temporary / self._entropy.token(16), self._pins)
        try:
            yield await self._write(file, pieces, bytes_max)
        finally:
            # Also when the request was cancelled: this needs no waiting, and the thread may still be writing.
            self._pool.submit(file.discard)

    async def write(self, pieces: AsyncIterator[bytes], bytes_max: int) -> StoredFile | None:
        """As `storing`, for bytes that nobody will condemn."""
        async with self.storing(pieces, bytes_max) as stored:
            return stored

    async def _write(self, file: "_Unfinished", pieces: AsyncIterator[bytes], bytes_max: int) -> StoredFile | None:
        buffer = bytearray()
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > bytes_max:
                return None
            buffer += piece
            if len(buffer) >= limits.file_piece_bytes:
                full, buffer = buffer, bytearray()
                await self._in_thread(partial(file.write, full))
        sha256 = await self._in_thread(partial(file.finish, buffer, self._path))
        return StoredFile(sha256, size)

    # Reading

    async def exists(self, file: StoredFile) -> bool:
        """Whether the bytes are there."""
        return await self._in_thread(self._path(file.sha256).is_file)

    async def head(self, file: StoredFile, count: int) -> bytes:
        """The first bytes, at most count. Raises StorageError if the file is gone."""
        return await self._in_thread(partial(_head, self._path(file.sha256), count))

    async def read(self, file: StoredFile, part: Part | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes, or a part of them, in pieces. Raises StorageError if the file is gone or shorter than it was."""
        first, left = (0, file.size_bytes) if part is None else (part.first, part.length)
        source = await self._in_thread(partial(_open, self._path(file.sha256), first))
        try:
            while left > 0:
                piece = await self._in_thread(partial(source.read, min(left, limits.file_piece_bytes)))
                if not piece:
                    raise StorageError("a media file is shorter than it was")
                left -= len(piece)
                yield piece
        finally:
            self._pool.submit(source.close)

    # Dropping. First nobody names a file; then it is condemned; then whoever condemned it looks again whether somebody
    # has named it meanwhile, and restores or drops it. So no acknowledged upload of the same bytes is ever lost.

    async def condemn(self, sha256: bytes) -> bool:
        """Take a file out of the store; False if it is not there, or is just being stored."""
        return await self._in_thread(partial(self._condemn, sha256))

    async def restore(self, sha256: bytes) -> None:
        """Put a condemned file back. Idempotent."""
        await self._in_thread(partial(self._restore, sha256))

    async def drop(self, sha256: bytes) -> None:
        """Remove a condemned file for good. Idempotent."""
        await self._in_thread(partial((self._condemned / sha256.hex()).unlink, missing_ok=True))

    async def condemned(self) -> Sequence[bytes]:
        """What was condemned when the server ended."""
        return await self._in_thread(lambda: [bytes.fromhex(path.name) for path in self._condemned.iterdir() if _is_ours(path)])

    async def in_folder(self, number: int) -> Sequence[bytes]:
        """The files of one of the 256 folders, by their hashes."""
        return await self._in_thread(partial(self._in_folder, f"{number:02x}"))

    def _path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self._files / name[:2] / name[2:4] / name

    def _condemn(self, sha256: bytes) -> bool:
        with self._pins.lock:
            if sha256 in self._pins.counts:
                return False
            try:
                self._path(sha256).replace(self._condemned / sha256.hex())
            except FileNotFoundError:
                return False
            return True

    def _restore(self, sha256: bytes) -> None:
        with self._pins.lock:
            source, target = self._condemned / sha256.hex(), self._path(sha256)
            if target.exists():
                source.unlink(missing_ok=True)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
                _sync_folder(target.parent)

    def _in_folder(self, name: str) -> list[bytes]:
        folder = self._files / name
        if not folder.is_dir():
            return []
        return [
            bytes.fromhex(path.name)
            for inner in folder.iterdir()
            if inner.is_dir()
            for path in inner.iterdir()
            if _is_ours(path)
        ]

    def _clean(self) -> int:
        for folder in (self._temporary, self._condemned, self._files, self.empty_folder):
            folder.mkdir(parents=True, exist_ok=True)
        left = list(self._temporary.iterdir())
        for path in left:
            path.unlink()
        return len(left)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except OSError as error:
            raise StorageError(f"a media file could not be read or written: {type(error).__name__}") from error


class _Pins:
    """Files that are stored but perhaps not yet named."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[bytes, int] = {}

    def add(self, sha256: bytes) -> None:
        self.counts[sha256] = self.counts.get(sha256, 0) + 1

    def remove(self, sha256: bytes) -> None:
        self.counts[sha256] -= 1
        if not self.counts[sha256]:
            del self.counts[sha256]


class _Unfinished:
    """A file that is being written. Its methods run in threads; the lock keeps the last one last."""

    def __init__(self, path: Path, pins: _Pins) -> None:
        self._path = path
        self._pins = pins
        self._pinned: bytes | None = None
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._is_over = False
        self._lock = threading.Lock()

    def write(self, data: bytes | bytearray) -> None:
        with self._lock:
            self._write(data)

    def finish(self, data: bytes | bytearray, place: Callable[[bytes], Path]) -> bytes:
        """Write the last piece, make it all durable and give it its name; return its SHA-256."""
        with self._lock:
            self._write(data)
            assert self._file is not None
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sha256 = self._hash.digest()
            target = place(sha256)
            for folder in (target.parent.parent, target.parent):
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    _sync_folder(folder.parent)
            with self._pins.lock:
                self._pins.add(sha256)
                self._pinned = sha256
                self._path.replace(target)
            _sync_folder(target.parent)
            self._is_over = True
            return sha256

    def discard(self) -> None:
        """Drop the file unless it is finished; from now on it may be condemned."""
        with self._lock:
            if self._pinned is not None:
                with self._pins.lock:
                    self._pins.remove(self._pinned)
                self._pinned = None
            if self._is_over:
                return
            self._is_over = True
            if self._file is not None:
                self._file.close()
                self._path.unlink(missing_ok=True)

    def _write(self, data: bytes | bytearray) -> None:
        if self._is_over:
            return
        if self._file is None:
            self._file = self._path.open("xb", buffering=0)
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._hash.update(data)


def _open(path: Path, first: int = 0) -> BinaryIO:
    source = path.open("rb", buffering=0)
    if first:
        source.seek(first)
    return source


def _is_ours(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None


def _head(path: Path, count: int) -> bytes:
    with _open(path) as source:
        return source.read(count)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
