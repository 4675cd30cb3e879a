"""Log lines: one sentence and its ids, for people or as JSON. Nothing secret gets through.

Modules write `logger.info("One sentence.", extra={"room_id": …})` with the standard library; `set_up` gives those lines
their form. Whatever looks like a token, a password or a key is blotted out, also in tracebacks: a rule that is broken
by mistake should not become a leak. Deliberately absent: files and rotation; the service manager keeps what we write.
"""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

_BLOT = "‹hidden›"
_SECRET_KEYS = re.compile(r"token(?!_id)|secret|passw|authorization|cookie|signature|private|mac$|^key$|_key$", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    # A header, a parameter or a pair in JSON whose name gives it away …
    r"(?P<name>(?:bearer|x-matrix)\s+|(?:access_token|refresh_token|login_token|token|password|secret|sig|signature|mac)"
    r"[\"']?\s*[=:]\s*[\"']?)(?P<value>[^\s\"'&,;)}\]]+)"
    # … or a token of ours or of another homeserver, wherever it stands.
    r"|\b(?P<bare>(?:syt|syr|mct|mcr|syl|ww[acdlor])_[A-Za-z0-9_\-]{8,}|wst_[A-Za-z0-9_\-]{8,})",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRET_TEXT.sub(lambda found: _BLOT if found["bare"] else f"{found['name']}{_BLOT}", text)


def _redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str | bytes):
            if key != "event" and _SECRET_KEYS.search(key):
                event[key] = _BLOT
            elif isinstance(value, str):
                event[key] = redacted(value)
    return event


def set_up(level: str = "info", *, json: bool = False, stream: TextIO | None = None) -> None:
    """Give every log line of the process its form. level: debug, info, warning or error.

    On a terminal lines are coloured. Calling it again replaces what was set up before.
    """
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(json, coloured=out.isatty()))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # These speak of every broken connection and every malformed request; a stranger could fill the disk with them.
    for name in ("uvicorn.error", "uvicorn.access", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.ERROR, root.level))


def _formatter(json: bool, *, coloured: bool) -> structlog.stdlib.ProcessorFormatter:
    if json:
        renderer: Callable[..., Any] = structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=coloured, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0, sort_keys=False
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact,
            renderer,
        ],
    )
