"""An event loop without sockets, threads and waiting: time stands still while anybody has work, then jumps to the next alarm.

Everything that could differ from run to run is taken away: futures and tasks hash by their number (sets of them are walked
in a fixed order), worker threads are a call on the spot, and nothing is ever waited for.

A `Life` is one server between its start and its death. What runs on its behalf carries it in the context; once it is dead
none of that is ever run again, just as after `kill -9`: no `finally`, no last words.
"""

import asyncio
import contextlib
import contextvars
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from watchword.base.clock import ManualClock

T = TypeVar("T")

_TURNS_WITHOUT_TIME_MAX = 200_000


class Stuck(Exception):
    """Nothing can ever happen any more, or time does not pass any more."""


class Life:
    """One server from its start to its death."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.calls: dict[asyncio.Future[Any], None] = {}

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as something that this server does."""
        context = contextvars.copy_context()
        context.run(LIFE.set, self)
        return asyncio.get_running_loop().create_task(coroutine, context=context)

    def kill(self) -> None:
        """Stop at this instant; who waits for an answer sees the connection break."""
        self.is_alive = False
        for call in self.calls:
            if not call.done():
                call.set_exception(ConnectionResetError(f"{self.name} died"))
        self.calls.clear()

    def bury(self) -> None:
        """Free what was left hanging. Nothing of it can do harm any more."""
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
        self.tasks.clear()


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class _Numbered:
    number: int

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Future(_Numbered, asyncio.Future[Any]):
    pass


class _Task(_Numbered, asyncio.Task[Any]):
    pass


class _NoWaiting(selectors.SelectSelector):
    """Instead of waiting for sockets, moves the clock to the next alarm."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            self._turns += 1
            if self._turns > _TURNS_WITHOUT_TIME_MAX:
                raise Stuck(f"the loop turned {self._turns} times while time stood still")
            return []
        self._turns = 0
        wake_ms = self._clock.next_wake_ms()
        if wake_ms is None:
            raise Stuck("everybody waits, and nobody for time")
        self._clock.advance(max(0, wake_ms - self._clock.now_ms()))
        return []


class SimulationLoop(asyncio.SelectorEventLoop):
    """The loop of one simulation."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_NoWaiting(clock))
        self._manual = clock
        self._numbers = itertools.count()
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        return self._manual.monotonic_ms() / 1000

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future.__new__(_Future)
        future.number = next(self._numbers)
        future.__init__(loop=self)  # type: ignore[misc]
        return future

    def _make_task(self, _: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = _Task.__new__(_Task)
        # The number comes first: making a task puts it into sets.
        task.number = next(self._numbers)
        task.__init__(coro, loop=self, **options)  # type: ignore[misc]
        context: contextvars.Context | None = options.get("context")
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is not None:
            life.tasks[task] = None
            task.add_done_callback(lambda done: life.tasks.pop(done, None), context=contextvars.Context())
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(_unless_dead, life, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """On the spot: a thread would end whenever the machine likes."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (belongs to whoever awaits)
            future.set_exception(error)
        return future


def _unless_dead(life: Life, callback: Callable[..., object], *args: Any) -> None:
    if life.is_alive:
        callback(*args)
