import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.media.pictures import a_picture
from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.base.errors import LimitExceeded
from watchword.server.media.sandbox import Sandbox, SandboxFailed

PICTURE = a_picture("PNG", (60, 40))
MEASURE = {"job": "measure"}


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox("pictures", ManualClock(), tmp_path)
    yield made
    await made.close()


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def measured(sandbox: Sandbox) -> object:
    answer, _ = await sandbox.run(MEASURE, pieces(PICTURE[:10], PICTURE[10:]), len(PICTURE))
    return answer["width"]


async def gone(process_id: int) -> None:
    for _ in range(500):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the process is still there")


async def test_there_is_no_process_before_the_first_job_and_one_for_many(sandbox: Sandbox) -> None:
    assert sandbox.process_id is None
    assert await asyncio.gather(*(measured(sandbox) for _ in range(5))) == [60] * 5
    first = sandbox.process_id
    await measured(sandbox)
    assert sandbox.process_id == first


async def test_the_process_ends_when_it_was_idle_and_the_next_job_gets_a_new_one(tmp_path: Path) -> None:
    clock = ManualClock()
    sandbox = Sandbox("pictures", clock, tmp_path)
    await measured(sandbox)
    first = sandbox.process_id
    assert first is not None
    clock.advance(limits.sandbox_idle_ms - 1)
    await measured(sandbox)
    clock.advance(limits.sandbox_idle_ms - 1)
    assert sandbox.process_id == first
    clock.advance(1)
    await gone(first)
    assert await measured(sandbox) == 60
    assert sandbox.process_id != first
    await sandbox.close()
    await sandbox.close()


async def test_a_crash_costs_one_job_alone(sandbox: Sandbox) -> None:
    await measured(sandbox)
    first = sandbox.process_id
    assert first is not None

    async def then_kill() -> AsyncIterator[bytes]:
        os.kill(first, signal.SIGSEGV)
        yield PICTURE

    with pytest.raises(SandboxFailed):
        await sandbox.run(MEASURE, then_kill(), len(PICTURE))
    assert await measured(sandbox) == 60


async def test_a_job_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    sandbox = Sandbox("pictures", ManualClock(), tmp_path, job_ms=300)

    async def slow() -> AsyncIterator[bytes]:
        yield PICTURE[:10]
        await asyncio.sleep(60)

    with pytest.raises(SandboxFailed):
        await sandbox.run(MEASURE, slow(), len(PICTURE))
    assert sandbox.process_id is None
    await sandbox.close()


async def test_a_job_that_nobody_waits_for_does_not_answer_the_next(sandbox: Sandbox) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PICTURE[:10]
        begun.set()
        await asyncio.sleep(60)

    given_up = asyncio.ensure_future(sandbox.run(MEASURE, slow(), len(PICTURE)))
    await begun.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await measured(sandbox) == 60


async def test_a_job_it_does_not_know_ends_it(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxFailed):
        await sandbox.run({"nonsense": 1}, pieces(), 0)
    assert await measured(sandbox) == 60


async def test_only_so_many_wait(sandbox: Sandbox) -> None:
    jobs = [measured(sandbox) for _ in range(limits.sandbox_waiting_max + 3)]
    done = await asyncio.gather(*jobs, return_exceptions=True)
    assert [isinstance(result, LimitExceeded) for result in done].count(True) == 3


async def test_the_process_has_no_environment_and_only_its_pipes(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_SECRET", "hidden")
    kept, given = os.pipe()
    os.set_inheritable(given, True)
    await measured(sandbox)
    process = Path(f"/proc/{sandbox.process_id}")
    status = (process / "status").read_text()
    os.close(kept)
    os.close(given)
    if os.geteuid() == 0:
        assert (process / "environ").read_bytes() == b""
        assert len(list((process / "fd").iterdir())) == 3
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


async def test_a_process_that_cannot_be_started_is_no_fault_of_the_job(tmp_path: Path) -> None:
    sandbox = Sandbox("pictures", ManualClock(), tmp_path / "not there")
    with pytest.raises(LimitExceeded):
        await measured(sandbox)
    (tmp_path / "not there").mkdir()
    assert await measured(sandbox) == 60
    await sandbox.close()


async def test_closing_does_not_wait_for_a_job(sandbox: Sandbox) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PICTURE[:10]
        begun.set()
        while True:
            yield b""
            await asyncio.sleep(0.01)

    job = asyncio.ensure_future(sandbox.run(MEASURE, slow(), len(PICTURE)))
    await begun.wait()
    await asyncio.wait_for(sandbox.close(), 5)
    with pytest.raises(SandboxFailed):
        await job


async def test_pages_have_a_process_of_their_own(tmp_path: Path) -> None:
    sandbox = Sandbox("pages", ManualClock(), tmp_path)
    answer, _ = await sandbox.run({"charset": "utf-8"}, pieces(b"<title>Words</title>"), 20)
    assert answer["og"] == {"og:title": "Words"}
    await sandbox.close()
