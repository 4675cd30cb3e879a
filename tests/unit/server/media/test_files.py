import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from watchword.base import limits
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import StorageError
from watchword.server.media.commands import StoredFile
from watchword.server.media.files import Files


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    built = Files(tmp_path, SeededEntropy(1))
    await built.start()
    yield built
    await built.close()


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def content(files: Files, file: StoredFile) -> list[bytes]:
    return [piece async for piece in files.read(file)]


async def test_many_small_pieces_become_few_large_ones(files: Files) -> None:
    file = await files.write(pieces(*[b"x" * 1_000] * 300), 300_000)
    assert file is not None
    read = await content(files, file)
    assert [len(piece) for piece in read] == [limits.file_piece_bytes] * 2 + [300_000 - 2 * limits.file_piece_bytes]


async def test_a_file_that_exactly_fills_the_bound_is_kept_and_one_byte_more_is_not(files: Files) -> None:
    assert await files.write(pieces(b"12345", b"67890"), 10) is not None
    assert await files.write(pieces(b"12345", b"67890", b"x"), 10) is None


async def test_a_cancelled_write_leaves_nothing(files: Files, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.ensure_future(files.write(slow(), 10_000_000))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await files.close()
    assert not on_disk(tmp_path)


async def test_a_file_that_is_gone_or_cut_short_is_an_error_and_no_silence(files: Files, tmp_path: Path) -> None:
    file = await files.write(pieces(b"12345"), 10)
    assert file is not None
    (path,) = on_disk(tmp_path / "files")
    path.write_bytes(b"123")
    with pytest.raises(StorageError):
        await content(files, file)
    path.unlink()
    assert not await files.exists(file)
    with pytest.raises(StorageError):
        await content(files, file)


async def test_a_disk_that_refuses_is_a_storage_error(files: Files, tmp_path: Path) -> None:
    (tmp_path / "temporary").rmdir()
    with pytest.raises(StorageError):
        await files.write(pieces(b"x"), 10)
