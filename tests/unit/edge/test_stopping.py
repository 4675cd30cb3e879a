import asyncio

from watchword.edge.stopping import Stopping


async def test_whoever_waits_is_woken() -> None:
    stopping = Stopping()
    waiter = asyncio.create_task(stopping.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    stopping.set()
    await waiter
    assert stopping.is_set


def test_listeners_are_called_once() -> None:
    stopping, calls = Stopping(), list[str]()
    stopping.listen(lambda: calls.append("a"))
    forget = stopping.listen(lambda: calls.append("b"))
    forget()
    stopping.set()
    stopping.set()
    assert calls == ["a"]


def test_who_listens_too_late_is_called_at_once() -> None:
    stopping, calls = Stopping(), list[str]()
    stopping.set()
    stopping.listen(lambda: calls.append("a"))
    assert calls == ["a"]
