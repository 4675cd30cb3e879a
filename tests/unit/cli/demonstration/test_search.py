import json
from pathlib import Path

import pytest

from watchword.base.entropy import SeededEntropy
from watchword.cli.demonstration.conversation import LINES, picture
from watchword.cli.demonstration.search import needles, search

PICTURE = picture(SeededEntropy(1).random_bytes(32))
TEXTS = [text for _, _, text in LINES]


def _found(folder: Path, planted: bytes) -> set[str]:
    (folder / "deep" / "er").mkdir(parents=True, exist_ok=True)
    (folder / "deep" / "er" / "file-wal").write_bytes(b"\0" * 1_000 + planted + b"\xff" * 1_000)
    return {what for _, what in search([folder], needles(TEXTS, PICTURE))[1]}


@pytest.mark.parametrize("text", TEXTS)
def test_a_sentence_is_found_in_each_form_in_which_it_could_lie_about(tmp_path: Path, text: str) -> None:
    for form in (text.encode(), text.encode("utf-16-le"), json.dumps(text).encode()):
        assert text in _found(tmp_path, form)


def test_a_piece_of_the_picture_is_found(tmp_path: Path) -> None:
    assert "the picture" in _found(tmp_path, PICTURE)
    assert "the picture" in _found(tmp_path, PICTURE[100:400])


def test_what_lies_across_the_end_of_a_piece_is_found(tmp_path: Path) -> None:
    text = TEXTS[0]
    (tmp_path / "large").write_bytes(b"\0" * ((1 << 20) - 5) + text.encode() + b"\0" * 100)
    size, found = search([tmp_path], needles([text], PICTURE))
    assert found == [(tmp_path / "large", text)]
    assert size == (1 << 20) - 5 + len(text.encode()) + 100


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert _found(tmp_path, SeededEntropy(2).random_bytes(2_000_000)) == set()


def test_another_picture_is_not_taken_for_this_one(tmp_path: Path) -> None:
    assert _found(tmp_path, picture(SeededEntropy(3).random_bytes(32))) == set()
