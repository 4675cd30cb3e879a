import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.server.media.decide_ranges import UNSATISFIABLE, Part, is_known, wanted_part

TAG = '"tag"'


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", Part(0, 0)),
        ("bytes=2-4", Part(2, 4)),
        ("bytes=2-", Part(2, 9)),
        ("Bytes = 2-", Part(2, 9)),
        ("bytes=2-99", Part(2, 9)),
        ("bytes=-3", Part(7, 9)),
        ("bytes=-99", Part(0, 9)),
        ("bytes=10-", UNSATISFIABLE),
        ("bytes=-0", UNSATISFIABLE),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("bytes=٣-", None),
        ("lines=0-1", None),
        ("bytes=" + "9" * 30 + "-", None),
        ("", None),
    ],
)
def test_a_range_is_a_part_or_nothing(header: str, part: Part | None) -> None:
    assert wanted_part({"range": header}, 10, TAG) == part


def test_an_empty_file_has_no_parts() -> None:
    assert wanted_part({"range": "bytes=0-"}, 0, TAG) is UNSATISFIABLE
    assert wanted_part({"range": "bytes=-5"}, 0, TAG) is UNSATISFIABLE
    assert wanted_part({}, 0, TAG) is None


@pytest.mark.parametrize(
    ("condition", "holds"), [(TAG, True), (f" {TAG} ", True), ('"other"', False), (f"W/{TAG}", False), ("Mon, 01 Jan", False)]
)
def test_a_range_of_another_version_is_the_whole_file(condition: str, holds: bool) -> None:
    found = wanted_part({"range": "bytes=1-2", "if-range": condition}, 10, TAG)
    assert (found == Part(1, 2)) is holds


@pytest.mark.parametrize(
    ("header", "known"),
    [("", False), (TAG, True), (f"W/{TAG}", True), (f'"a", {TAG}', True), ('"a"', False), ("*", True), ("tag", False)],
)
def test_a_file_that_the_client_has_is_known_by_its_tag(header: str, known: bool) -> None:
    assert is_known({"if-none-match": header} if header else {}, TAG) is known


@given(st.integers(0, 50), st.integers(0, 60) | st.none(), st.integers(0, 60) | st.none())
def test_a_part_is_what_a_slice_would_give(size: int, first: int | None, last: int | None) -> None:
    data = bytes(range(size))
    found = wanted_part({"range": f"bytes={'' if first is None else first}-{'' if last is None else last}"}, size, TAG)
    if first is None:
        expected = data[size - min(last, size) :] if last is not None else None
    elif last is not None and last < first:
        expected = None
    else:
        expected = data[first:] if last is None else data[first : last + 1]
    if expected is None:
        assert found is None
    elif not expected:
        assert found is UNSATISFIABLE
    else:
        assert found is not None
        assert data[found.first : found.last + 1] == expected
        assert found.length == len(expected)


@given(st.text(max_size=40), st.integers(0, 100))
def test_no_range_crashes_and_every_part_lies_in_the_file(header: str, size: int) -> None:
    found = wanted_part({"range": header, "if-range": header[:1]}, size, TAG)
    assert found is None or found is UNSATISFIABLE or 0 <= found.first <= found.last < size
    is_known({"if-none-match": header}, TAG)
