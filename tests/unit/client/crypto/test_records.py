"""Named rows, and what of them is not yet durable."""

import msgspec
import pytest

from watchword.client.crypto.records import Records


class Row(msgspec.Struct, frozen=True):
    """A row."""

    value: int


def test_a_row_is_read_back() -> None:
    shelf = Records({("a", "x"): b'{"value":1}'}).shelf("a", Row)
    assert shelf.get("x") == Row(1)
    assert shelf.get("y") is None
    assert ("x" in shelf, "y" in shelf, len(shelf), shelf.names()) == (True, False, 1, ["x"])


def test_what_changed_is_taken_once() -> None:
    records = Records()
    shelf = records.shelf("a", Row)
    shelf.put("x", Row(1))
    shelf.put("x", Row(2))
    before = records.has_unsaved
    assert records.take() == {("a", "x"): b'{"value":2}'}
    assert (before, records.has_unsaved) == (True, False)
    assert records.take() == {}


def test_a_removed_row_is_none() -> None:
    records = Records({("a", "x"): b'{"value":1}'})
    shelf = records.shelf("a", Row)
    shelf.remove("x")
    shelf.remove("never there")
    assert records.take() == {("a", "x"): None}
    assert shelf.get("x") is None


def test_a_failed_save_is_unsaved_again_in_its_newest_form() -> None:
    records = Records()
    shelf = records.shelf("a", Row)
    shelf.put("x", Row(1))
    taken = records.take()
    shelf.put("x", Row(2))
    records.put_back(taken)
    assert records.take() == {("a", "x"): b'{"value":2}'}


def test_reading_changes_nothing() -> None:
    records = Records({("a", "x"): b'{"value":1}', ("b", "y"): b'{"value":2}'})
    assert list(records.shelf("a", Row).values()) == [Row(1)]
    assert records.take() == {}


def test_a_kind_has_one_shelf() -> None:
    records = Records()
    records.shelf("a", Row)
    with pytest.raises(AssertionError):
        records.shelf("a", Row)
