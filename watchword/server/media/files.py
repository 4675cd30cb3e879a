"""Files by the SHA-256 of their bytes, in a folder of this server.

    <root>/temporary/<name>     being written; emptied at start
    <root>/files/ab/cd/<hex>    whole and durable

A file is written to its end, synced and renamed; then its folder is synced. So a name under `files` always stands for the
whole content, also after a power cut. All disk work happens in a few threads, in pieces of `limits.file_piece_bytes`.
"""

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from watchword.base import limits
from watchword.base.entropy import Entropy
from watchword.base.errors import StorageError
from watchword.server.media.commands import StoredFile

T = TypeVar("T")


class Files:
    """The media store on a local disk. Call `start` before anything else, `close` at the end."""

    def __init__(self, root: Path, entropy: Entropy, *, threads: int = 4) -> None:
        self._temporary = root / "temporary"
        self._files = root / "files"
        self._entropy = entropy
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="media")

    async def start(self) -> int:
        """Make the folders, and drop what a crash left half-written; return how many files that was."""
        return await self._in_thread(self._clean)

    async def close(self) -> None:
        """Wait for what is being read or written."""
        self._pool.shutdown(wait=True)

    async def write(self, pieces: AsyncIterator[bytes], bytes_max: int) -> StoredFile | None:
        """Store bytes as they come; None, and nothing left behind, if they are more than bytes_max.

        Raises StorageError if the disk refuses, and whatever `pieces` raises; nothing is left behind then, either.
        """
        file = _Unfinished(self._temporary / self._entropy.token(16))
        buffer = bytearray()
        size = 0
        try:
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
        finally:
            # Also when the request was cancelled: this needs no waiting, and the thread may still be writing.
            self._pool.submit(file.discard)

    async def exists(self, file: StoredFile) -> bool:
        """Whether the bytes are there."""
        return await self._in_thread(self._path(file.sha256).is_file)

    async def head(self, file: StoredFile, count: int) -> bytes:
        """The first bytes, at most count. Raises StorageError if the file is gone."""
        return await self._in_thread(partial(_head, self._path(file.sha256), count))

    async def read(self, file: StoredFile) -> AsyncGenerator[bytes, None]:
        """The bytes in pieces. Raises StorageError if the file is gone or shorter than it was."""
        source = await self._in_thread(partial(_open, self._path(file.sha256)))
        left = file.size_bytes
        try:
            while left > 0:
                piece = await self._in_thread(partial(source.read, min(left, limits.file_piece_bytes)))
                if not piece:
                    raise StorageError("a media file is shorter than it was")
                left -= len(piece)
                yield piece
        finally:
            self._pool.submit(source.close)

    def _path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self._files / name[:2] / name[2:4] / name

    def _clean(self) -> int:
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._files.mkdir(parents=True, exist_ok=True)
        left = list(self._temporary.iterdir())
        for path in left:
            path.unlink()
        return len(left)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except OSError as error:
            raise StorageError(f"a media file could not be read or written: {type(error).__name__}") from error


class _Unfinished:
    """A file that is being written. Its methods run in threads; the lock keeps the last one last."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
            self._path.replace(target)
            _sync_folder(target.parent)
            self._is_over = True
            return sha256

    def discard(self) -> None:
        """Drop the file unless it is finished."""
        with self._lock:
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


def _open(path: Path) -> BinaryIO:
    return path.open("rb", buffering=0)


def _head(path: Path, count: int) -> bytes:
    with _open(path) as source:
        return source.read(count)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
