"""The loop of the limited process: read a job, do it, answer; end when the pipe ends or enough time was used.

One kind of work for one process: `pictures` or `pages`. What the work raises is an answer, not an end; a crash of a
decoder ends this process alone.
"""

import gc
import os
import time
from collections.abc import Callable
from typing import Any

from . import confinement, frames

Work = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]
MEMORY_BYTES_MAX = 1 << 30
PROCESSOR_SECONDS_MAX = 120
# An old process gives way to a fresh one long before its time is over, so that no job pays for those before it.
RETIRES_AFTER_SECONDS = 60.0
BODY_BYTES_MAX = 64 << 20


def run(kind: str) -> None:
    """Serve jobs from standard input until it ends; never returns."""
    confinement.close_inherited()
    confinement.limit(MEMORY_BYTES_MAX, PROCESSOR_SECONDS_MAX)
    work = WORK[kind]()
    confinement.lock()
    serve(work, lambda count: os.read(0, count), _write)
    os._exit(0)


def serve(work: Work, read: Callable[[int], bytes], write: Callable[[bytes], None]) -> None:
    """One job after the other. Returns when there are no more, or when this process is old, and says so (`last`)."""
    is_last = False
    while not is_last:
        try:
            prefix = frames.read_exactly(read, frames.LENGTH_BYTES)
            if prefix is None:
                return
            encoded = frames.read_exactly(read, frames.head_length(prefix))
            job = frames.decode_head(encoded or b"", BODY_BYTES_MAX)
            body = frames.read_exactly(read, job["size"]) if job["size"] else b""
        except frames.BrokenFrame:
            return
        if body is None:
            return
        answer, result = work(job, body)
        del body
        is_last = time.process_time() > RETIRES_AFTER_SECONDS
        write(frames.encode_head({**answer, "size": len(result), "last": is_last}))
        write(result)
        gc.collect()


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def pictures() -> Work:
    """The work on pictures. Jobs: measure; thumbnail with width, height, crop (no width: as large as it is), moves, webp."""
    from . import pictures as decoders  # Pillow is loaded only in the process that needs it
    from .sizing import Size

    decoders.prepare()

    def work(job: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            if job["job"] == "measure":
                return decoders.measure(body), b""
            size = Size(job["width"], job["height"], job["crop"]) if job["width"] else None
            return decoders.thumbnail(body, size, moves=job["moves"], webp=job["webp"], clock=decoders.seconds)
        except decoders.Unreadable:
            return {"error": "unreadable"}, b""
        except decoders.TooMuch:
            return {"error": "too_much"}, b""

    return work


def pages() -> Work:
    """The work on web pages. Job: charset, as HTTP says it."""
    from . import pages as readers  # selectolax is loaded only in the process that needs it

    readers.prepare()

    def work(job: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            return readers.describe(body, job["charset"]), b""
        except (ValueError, MemoryError, RecursionError):
            return {"error": "unreadable"}, b""

    return work


WORK: dict[str, Callable[[], Work]] = {"pictures": pictures, "pages": pages}
