import io
import json
import logging
from collections.abc import Iterator

import pytest

from watchword.base.logs import redacted, set_up


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    others = {name: logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access", "aiohttp", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in others.items():
        logging.getLogger(name).setLevel(before)


def written(json_lines: bool = False, level: str = "info") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    set_up(level, json=json_lines, stream=stream)
    return logging.getLogger("watchword.test"), stream


def test_a_line_is_a_sentence_and_its_ids() -> None:
    logger, stream = written()
    logger.info("A room was made.", extra={"room_id": "!a:b", "members": 3})
    assert "A room was made." in stream.getvalue()
    assert "room_id=!a:b" in stream.getvalue()
    assert "members=3" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_line_may_be_json() -> None:
    logger, stream = written(json_lines=True)
    logger.warning("Späť %s.", "x", extra={"room_id": "!a:b"})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["logger"], line["room_id"]) == ("Späť x.", "warning", "watchword.test", "!a:b")


def test_lines_below_the_level_are_not_written() -> None:
    logger, stream = written(level="warning")
    logger.info("Nothing.")
    assert stream.getvalue() == ""


def test_strangers_cannot_fill_the_disk_through_libraries() -> None:
    _, stream = written(level="debug")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("asyncio").warning("socket.send() raised exception.")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_are_blotted_out_wherever_they_are(as_json: bool) -> None:
    logger, stream = written(json_lines=as_json)
    try:
        raise ValueError("GET /sync?access_token=hush-1&since=3")
    except ValueError:
        logger.exception(
            "It failed with Authorization: Bearer hush-2 and %s.",
            '{"password": "hush-3"}',
            extra={
                "token": "hush-4",
                "shared_secret": "hush-5",
                "signing_key": b"hush-6",
                "note": "syt_hush_7aaaaaa wwc_hush_8aaaaaa wwd_hush_9aaaaaa wwl_hush_aaaaaaa",
                "token_id": 5,
            },
        )
    text = stream.getvalue()
    assert "hush" not in text
    assert "since=3" in text
    assert "token_id" in text


@pytest.mark.parametrize(
    "text",
    [
        "Bearer hush",
        "bearer  hush",
        "access_token=hush&a=b",
        '{"refresh_token":"hush"}',
        "password: hush",
        'X-Matrix origin=a,key="ed25519:1",sig="hush"',
    ],
)
def test_what_looks_like_a_secret_is_replaced(text: str) -> None:
    assert "hush" not in redacted(text)


def test_ordinary_words_stay() -> None:
    text = "The token was refused; the password of @a:b is too short, see m.login.password."
    assert redacted(text) == text
