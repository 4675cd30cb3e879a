import io
import math

import pytest

from tests.unit.server.media.pictures import a_picture, opened
from watchword.server.media.sandboxed import frames, program

PICTURE = a_picture("PNG", (400, 300))
THUMBNAIL = {"job": "thumbnail", "width": 32, "height": 32, "crop": True, "moves": False, "webp": False}


@pytest.fixture(autouse=True)
def young(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that runs the tests is older than one that decodes ever gets."""
    monkeypatch.setattr(program, "RETIRES_AFTER_SECONDS", math.inf)


def served(work: program.Work, given: bytes) -> list[tuple[dict[str, object], bytes]]:
    out = io.BytesIO()

    def write(data: bytes) -> None:
        out.write(data)

    program.serve(work, io.BytesIO(given).read, write)
    out.seek(0)
    answers = []
    while prefix := out.read(frames.LENGTH_BYTES):
        head = frames.decode_head(out.read(frames.head_length(prefix)), 1 << 24)
        answers.append((head, out.read(head["size"])))
    return answers


def framed(job: dict[str, object], body: bytes) -> bytes:
    return frames.encode_head({**job, "size": len(body)}) + body


def test_jobs_are_answered_in_order_until_the_pipe_ends() -> None:
    given = framed({"job": "measure"}, PICTURE) + framed(THUMBNAIL, PICTURE) + framed({"job": "measure"}, b"nothing")
    measured, made, unreadable = served(program.pictures(), given)
    assert (measured[0]["width"], measured[0]["height"], measured[1]) == (400, 300, b"")
    assert opened(made[1]).size == (32, 32)
    assert unreadable == ({"error": "unreadable", "size": 0, "last": False}, b"")


def test_no_size_is_as_large_as_it_is() -> None:
    ((head, data),) = served(program.pictures(), framed({**THUMBNAIL, "width": 0, "height": 0}, PICTURE))
    assert (head["original"], data) == (True, b"")


def test_a_broken_frame_ends_it() -> None:
    whole = framed({"job": "measure"}, PICTURE)
    for broken in (whole[:2], whole[:10], whole[:-1], frames.encode_head({"size": -1}), frames.encode_head({"size": 5})):
        assert served(program.pictures(), broken) == []


def test_an_old_process_says_that_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "RETIRES_AFTER_SECONDS", 0.0)
    job = framed({"job": "measure"}, PICTURE)
    ((head, _),) = served(program.pictures(), job + job)
    assert head["last"] is True


def test_pages_are_read_too() -> None:
    ((head, data),) = served(program.pages(), framed({"charset": ""}, b"<title>Words</title>"))
    assert (head["og"], data) == ({"og:title": "Words"}, b"")
