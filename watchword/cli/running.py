"""Running a server in this process: the loop, the signals, the end."""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from watchword.base import logs
from watchword.base.config import Config
from watchword.server.app import Homeserver

logger = logging.getLogger(__name__)


def run_server(config: Config, started: Callable[[Homeserver], Coroutine[Any, Any, None]] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. started: called once the doors are open. Raises WatchwordError if it cannot start."""
    logs.set_up(config.logs.level, json=config.logs.json)
    # What start-up made lives as long as the process, and the caches hold what is used: looking through them for cycles
    # again and again costs more than the cycles. Measured: a tenth of the CPU time of a send.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, started))


async def _serve(config: Config, started: Callable[[Homeserver], Coroutine[Any, Any, None]] | None) -> None:
    server = Homeserver.build(config)
    try:
        await server.start()
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if started is not None:
            await started(server)
        await _until(stop, server)
    finally:
        await server.stop()
    logger.info("The server stopped.")


async def _until(stop: asyncio.Event, server: Homeserver) -> None:
    """Run in the background until told to stop; a background task that fails stops the server, loudly."""
    running = asyncio.ensure_future(server.run())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        stopped.cancel()
        server.stopping.set()
        running.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
