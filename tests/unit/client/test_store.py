"""The store on disk: what it keeps, and from whom."""

import stat
from pathlib import Path

import msgspec
import pytest

from watchword.base.entropy import SystemEntropy
from watchword.base.errors import StorageError
from watchword.client.store import StoreKeys, WrongStoreKey, open_store

KEY = b"k" * 32
ENTROPY = SystemEntropy()


class Row(msgspec.Struct, frozen=True):
    """A row."""

    text: str


async def write(path: Path, text: str, key: bytes | str = KEY) -> None:
    store = await open_store(path, key, ENTROPY)
    store.records.shelf("kind", Row).put("name", Row(text))
    await store.save()
    await store.close()


async def read(path: Path, key: bytes | str = KEY) -> str | None:
    store = await open_store(path, key, ENTROPY)
    row = store.records.shelf("kind", Row).get("name")
    await store.close()
    return None if row is None else row.text


async def test_a_row_is_read_back(tmp_path: Path) -> None:
    await write(tmp_path / "s", "one")
    assert await read(tmp_path / "s") == "one"
    await write(tmp_path / "s", "two")
    assert await read(tmp_path / "s") == "two"


async def test_what_was_not_saved_is_not_there(tmp_path: Path) -> None:
    await write(tmp_path / "s", "saved")
    store = await open_store(tmp_path / "s", KEY, ENTROPY)
    store.records.shelf("kind", Row).put("name", Row("not saved"))
    await store.close()
    assert await read(tmp_path / "s") == "saved"


async def test_a_removed_row_is_gone(tmp_path: Path) -> None:
    await write(tmp_path / "s", "one")
    store = await open_store(tmp_path / "s", KEY, ENTROPY)
    store.records.shelf("kind", Row).remove("name")
    await store.save()
    await store.close()
    assert await read(tmp_path / "s") is None


@pytest.mark.parametrize(("right", "wrong"), [(KEY, b"x" * 32), ("a phrase", "another phrase"), (KEY, "a phrase")])
async def test_another_key_does_not_open_it(tmp_path: Path, right: bytes | str, wrong: bytes | str) -> None:
    await write(tmp_path / "s", "one", right)
    with pytest.raises(WrongStoreKey):
        await read(tmp_path / "s", wrong)
    assert await read(tmp_path / "s", right) == "one"


async def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongStoreKey):
        await write(tmp_path / "s", "one", b"short")


async def test_nothing_can_be_read_in_the_file(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "s", KEY, ENTROPY)
    store.records.shelf("olm-sessions", Row).put("@alice:one.test", Row("a very secret text"))
    await store.save()
    await store.close()
    data = _all_bytes(tmp_path)
    for text in (b"secret text", b"olm-sessions", b"@alice"):
        assert text not in data


def _all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    await write(tmp_path / "s", "one")
    assert _mode(tmp_path / "s") == 0o600


async def test_a_failed_save_is_still_unsaved(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "s", KEY, ENTROPY)
    store.records.shelf("kind", Row).put("name", Row("one"))
    await store.close()
    with pytest.raises(StorageError):
        await store.save()
    assert store.records.has_unsaved


async def test_a_wiped_store_is_empty_and_stays_so(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "s", KEY, ENTROPY)
    shelf = store.records.shelf("kind", Row)
    shelf.put("name", Row("one"))
    await store.save()
    await store.wipe()
    shelf.put("name", Row("two"))
    await store.save()
    await store.close()
    assert await read(tmp_path / "s") is None


def test_rows_cannot_be_exchanged() -> None:
    keys = StoreKeys(KEY)
    name, sealed = keys.seal(("kind", "one"), b"value", bytes(12))
    assert keys.unseal(name, sealed) == (("kind", "one"), b"value")
    with pytest.raises(WrongStoreKey):
        keys.unseal(keys.name_of(("kind", "two")), sealed)
    for bad in (b"", sealed[:-1], sealed[:20]):
        with pytest.raises(WrongStoreKey):
            keys.unseal(name, bad)


def test_odd_names_are_kept_apart() -> None:
    keys = StoreKeys(KEY)
    names = [("a", "b|c"), ("a", "b"), ("a|b", "c"), ("a", ""), ("a", "\ud800"), ("a", "é\0")]
    assert len({keys.name_of(name) for name in names}) == len(names)
    for name in names:
        assert keys.unseal(*keys.seal(name, b"v", bytes(12))) == (name, b"v")
