"""`./run bench`: start servers, put load on them, print what it cost."""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.certificates import CertificateAuthority
from bench.report import Figures, document, heading, middle, table
from bench.scenarios import SCENARIOS
from bench.servers import Kind
from bench.servers.synapse import Synapse
from bench.servers.watchword import Watchword
from bench.world import FULL, QUICK, Figure, World

# What needs no server: a module each, run as a program of its own so that it begins with a clean process.
PARTS = ("core", "storage")
KINDS: dict[str, type[Kind]] = {"watchword": Watchword, "synapse": Synapse}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./run bench", description="What each operation costs, in CPU time of the server.")
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of many; smaller rooms")
    parser.add_argument("--peer", choices=sorted(KINDS), help="measure this server too, side by side")
    parser.add_argument("--server", choices=sorted(KINDS), default="watchword", help="the server to measure (watchword)")
    everything = (*SCENARIOS, *PARTS)
    parser.add_argument("--only", default=",".join(everything), help=f"some of: {','.join(everything)}")
    parser.add_argument("--rounds", type=int, help="how often each scenario runs; the middle counts (1 if quick, else 3)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--keep", type=Path, help="use this folder for the servers' data, and keep it")
    chosen = parser.parse_args(argv)
    chosen.only = [name for name in chosen.only.split(",") if name]
    if unknown := set(chosen.only) - set(everything):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return chosen


async def measure(worlds: Sequence[World], names: Sequence[str], rounds: int) -> dict[str, Figures]:
    """Run every scenario in every world, taking turns, so that a slower minute of the machine meets all of them."""
    results: dict[str, dict[str, list[Figure]]] = {world.kind.name: {} for world in worlds}
    try:
        for name in names:
            for turn in range(rounds):
                for world in worlds if turn % 2 == 0 else reversed(worlds):
                    print(f"  {name}, {world.kind.name}, round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
                    await run_one(world, name)
                    for figure in world.figures:
                        results[world.kind.name].setdefault(figure.name, []).append(figure)
                    world.figures.clear()
    finally:
        for world in worlds:
            await world.close()
    return {kind: {name: middle(figures) for name, figures in found.items()} for kind, found in results.items()}


async def run_one(world: World, name: str) -> None:
    """Run one scenario; if it fails, say so and keep what it measured before: the others still count."""
    try:
        await SCENARIOS[name](world)
    except Exception as error:  # noqa: BLE001 - one scenario's failure must not cost the figures of the others
        print(f"  {name}, {world.kind.name}: FAILED: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        world.failures.append(name)


def main(argv: Sequence[str]) -> int:
    """Do it all; 0 if everything that was asked for ran."""
    chosen = arguments(argv)
    scenarios = [name for name in chosen.only if name in SCENARIOS]
    passed = not scenarios or run_scenarios(chosen, scenarios, argv)
    for part in [name for name in chosen.only if name in PARTS]:
        print(flush=True)
        passed &= subprocess.run([sys.executable, "-m", f"bench.{part}"], check=False).returncode == 0
    return 0 if passed else 1


def run_scenarios(chosen: argparse.Namespace, names: Sequence[str], argv: Sequence[str]) -> bool:
    """Measure servers and print the table; whether every scenario ran."""
    kinds = [KINDS[name]() for name in dict.fromkeys([chosen.server, chosen.peer or chosen.server])]
    for kind in kinds:
        kind.prepare()
    size = QUICK if chosen.quick else FULL
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    # Not in /tmp: what is in memory there would make bytes written to disk vanish.
    home = chosen.keep or Path(tempfile.mkdtemp(prefix="bench-", dir=_run_folder()))
    home.mkdir(parents=True, exist_ok=True)
    authority = CertificateAuthority(home / "certificates")
    worlds = [World(kind, home, authority, size) for kind in kinds]
    try:
        measured = asyncio.run(measure(worlds, names, rounds))
    finally:
        if not chosen.keep:
            shutil.rmtree(home, ignore_errors=True)
    versions = {kind.name: kind.version() for kind in kinds}
    print(heading(versions))
    print(table(measured))
    if chosen.json:
        chosen.json.write_text(json.dumps(document(measured, versions, argv), indent=1) + "\n")
    return not any(world.failures for world in worlds)


def _run_folder() -> Path:
    folder = Path(__file__).parents[1] / ".run"
    folder.mkdir(exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
