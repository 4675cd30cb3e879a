"""`python -m tests.simulation [--seed N] [--seeds K] [--steps M]`: one line per seed; exit status 1 if one failed.

Sets of strings are walked in the order of their hashes, so the process starts itself again with a fixed hash seed.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.simulation.play import STEPS, play


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _warnings() -> list[str]:
    return [f"-W{option}" for option in sys.warnoptions]


def main() -> int:
    """Run the seeds that were asked for."""
    parser = argparse.ArgumentParser(prog="./run simulate", description="Whole servers in one process, seeded.")
    parser.add_argument("--seed", type=int, nargs="+", default=None, help="the seeds; with --seeds the first one (1)")
    parser.add_argument("--seeds", type=int, default=None, help="how many seeds (1 with --seed, else 20)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"what users do altogether ({STEPS})")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--keep", type=Path, default=None, help="a folder to leave the databases in")
    wanted = parser.parse_args()
    seeds = wanted.seed or [1]
    if wanted.seed is None or wanted.seeds is not None:
        seeds = list(range(seeds[0], seeds[0] + (wanted.seeds or 20)))
    failed = []
    for seed in seeds:
        begin = time.perf_counter()
        folder = None if wanted.keep is None else wanted.keep / str(seed)
        verdict = play(seed, wanted.steps, keeps_lines=wanted.trace, folder=folder)
        seconds = time.perf_counter() - begin
        for line in verdict.lines:
            _say(line)
        _say(
            f"seed {seed} {'FAILED' if verdict.failures else 'ok'} {verdict.trace_hash[:16]} "
            f"{verdict.events} events, {verdict.lives} lives, {verdict.simulated_ms // 1000} s simulated in {seconds:.1f} s"
        )
        for failure in verdict.failures[:20]:
            _say(f"    {failure}")
        if verdict.failures:
            steps = "" if wanted.steps == STEPS else f" --steps {wanted.steps}"
            _say(f"    replay: ./run simulate --seed {seed}{steps}")
            failed.append(seed)
    if failed:
        _say(f"failed: {' '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *_warnings(), "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
