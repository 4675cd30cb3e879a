"""`python -m tests.fuzz [--seconds N] [--seed N] [target …]`: every parser under fire, each for its share of the time.

What a target raises and must not is printed, shrunk, with the command that shows it again; the others go on.
"""

import argparse
import logging
import sys
import time
import traceback

from tests.fuzz.suite import every_target


def main() -> int:
    """Feed the targets that were asked for; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Every parser under fire.")
    parser.add_argument("targets", nargs="*", help="names of targets (all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long altogether (60)")
    parser.add_argument("--seed", type=int, default=None, help="the first seed (drawn from the clock)")
    parser.add_argument("--batches", type=int, default=None, help="how many seeds each, instead of a time")
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    wanted = parser.parse_args()
    # What is said of each bad input drowns what is said of each target.
    logging.disable(logging.CRITICAL)
    known = {target.name: target for target in every_target()}
    if wanted.list:
        sys.stdout.write("\n".join(known) + "\n")
        return 0
    if unknown := [name for name in wanted.targets if name not in known]:
        parser.error(f"no such target: {' '.join(unknown)}")
    chosen = [known[name] for name in wanted.targets or known]
    seed = int(time.time()) if wanted.seed is None else wanted.seed
    failed = []
    for number, target in enumerate(chosen, 1):
        begun = time.monotonic()
        try:
            if wanted.batches is None:
                seeds, _ = target.run_for(wanted.seconds / len(chosen), seed)
            else:
                seeds = wanted.batches
                for each in range(seed, seed + seeds):
                    target.run(each)
            verdict = f"ok      {seeds} seeds from {seed}"
        except Exception:  # noqa: BLE001 (whatever it is, it is the finding)
            failed.append(target.name)
            verdict = "FAILED\n" + traceback.format_exc()
        sys.stdout.write(f"[{number}/{len(chosen)}] {target.name:28} {time.monotonic() - begun:6.1f} s  {verdict}\n")
        sys.stdout.flush()
    if failed:
        sys.stdout.write(f"failed: {' '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
