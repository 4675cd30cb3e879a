"""Starts, feeds and ends the limited process that looks into what strangers send (see `sandboxed`).

The process is started with the first job and ended when none came for a while: an idle server has none, and the server
itself never loads a decoder. One job at a time; a bounded number waits. A job that takes too long, a crash, an answer that
is none: the process is killed, the job failed, the next job gets a new process. Nothing it says is believed but a bounded
object and a bounded number of bytes.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import LimitExceeded, WatchwordError
from watchword.server.media.sandboxed import frames

logger = logging.getLogger(__name__)

_HERE = Path(__file__).parent
# Only this folder is added to what can be imported, behind everything else: the process gets its own package, not the server.
_START = "import sys; sys.path.append(sys.argv[2]); from sandboxed.program import run; run(sys.argv[1])"
_BUSY_RETRY_MS = 2_000


class SandboxFailed(WatchwordError):
    """The process crashed, took too long, or answered nonsense. The job is at fault until shown otherwise."""


class Sandbox:
    """One limited process at a time, for one kind of work: `pictures` or `pages`. Close it at the end.

    folder: an empty one, which becomes the process's working folder.
    """

    def __init__(self, kind: str, clock: Clock, folder: Path, *, job_ms: int = limits.sandbox_job_ms) -> None:
        self._kind = kind
        self._clock = clock
        self._folder = folder
        self._job_ms = job_ms
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._call_off: Callable[[], None] | None = None

    @property
    def process_id(self) -> int | None:
        """The process, while there is one."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def run(self, job: Mapping[str, Any], body: AsyncIterator[bytes], body_bytes: int) -> tuple[dict[str, Any], bytes]:
        """Have a job done: what the process answers. body: exactly body_bytes.

        Raises SandboxFailed; LimitExceeded if too many wait; whatever body raises.
        """
        if self._waiting >= limits.sandbox_waiting_max:
            raise LimitExceeded(_BUSY_RETRY_MS, "The server has too many pictures to look at.")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._run(job, body, body_bytes)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process, also in the middle of a job, which fails. Idempotent."""
        self._keep()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
        async with self._turn:
            await self._kill()

    async def _run(self, job: Mapping[str, Any], body: AsyncIterator[bytes], body_bytes: int) -> tuple[dict[str, Any], bytes]:
        self._keep()
        is_done = False
        try:
            async with asyncio.timeout(self._job_ms / 1000):
                answer = await self._ask(job, body, body_bytes)
            is_done = True
            return answer
        except (OSError, EOFError, frames.BrokenFrame) as error:
            logger.warning("The limited process failed.", extra={"kind": self._kind, "cause": type(error).__name__})
            raise SandboxFailed(self._kind) from error
        finally:
            if is_done:
                self._call_off = self._clock.call_later(limits.sandbox_idle_ms, self._retire)
            else:
                # Whatever it was doing is of no use, and what comes out of it would answer the wrong question.
                await self._kill()

    async def _ask(self, job: Mapping[str, Any], body: AsyncIterator[bytes], body_bytes: int) -> tuple[dict[str, Any], bytes]:
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frames.encode_head({**job, "size": body_bytes}))
        async for piece in body:
            process.stdin.write(piece)
            await process.stdin.drain()
        await process.stdin.drain()
        prefix = await process.stdout.readexactly(frames.LENGTH_BYTES)
        encoded = await process.stdout.readexactly(frames.head_length(prefix))
        head = frames.decode_head(encoded, limits.sandbox_result_bytes_max)
        result = await process.stdout.readexactly(head["size"])
        if head.pop("last", False):
            await self._kill()
        return head, result

    async def _started(self) -> asyncio.subprocess.Process:
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            assert process.stdout is not None
            # It may have been told to end, or have ended by itself, without being gone yet.
            if not process.stdin.is_closing() and not process.stdout.at_eof():
                return process
        await self._kill()
        try:
            self._process = await self._start()
        except OSError as error:
            # No fault of the job's: it may be tried again.
            logger.exception("The limited process could not be started.", extra={"kind": self._kind})
            raise LimitExceeded(_BUSY_RETRY_MS, "The server cannot look at pictures now.") from error
        return self._process

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-B",
            "-c",
            _START,
            self._kind,
            str(_HERE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=limits.file_piece_bytes,
            env={},
            cwd=self._folder,
            close_fds=True,
            start_new_session=True,
        )

    def _keep(self) -> None:
        if self._call_off is not None:
            self._call_off()
            self._call_off = None

    def _retire(self) -> None:
        # The end of its input ends it.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(_ended(process))


async def _ended(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    # Both pipes must be seen to end, or they would be closed when they are collected.
    while await process.stdout.read(limits.file_piece_bytes):
        pass
    await process.wait()
    with suppress(OSError):
        await process.stdin.wait_closed()
