"""kill -9 at any moment loses nothing that was acknowledged, and needs no repair."""

import subprocess
import sys
from pathlib import Path

import pytest

_CYCLES = 100


@pytest.mark.parametrize("seed", [4711])
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(seed: int, tmp_path: Path) -> None:
    writer = subprocess.run(
        [sys.executable, "-m", "tests.end_to_end.killed_writer", str(tmp_path), str(seed), str(_CYCLES)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert writer.returncode == 0, writer.stderr[-2_000:]
    words = writer.stdout.split()
    while_writing, acknowledged = int(words[2]), int(words[5])
    # Kills that hit nothing but the start, or nothing at all, would prove nothing.
    assert while_writing >= _CYCLES // 2
    assert acknowledged > 2 * _CYCLES
