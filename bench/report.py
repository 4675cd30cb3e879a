"""Figures as a Markdown table, and as JSON."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from statistics import median
from typing import Any

from bench import targets
from bench.world import Figure

Figures = Mapping[str, Figure]


def middle(rounds: Sequence[Figure]) -> Figure:
    """One figure out of several rounds of the same operation: the middle one in CPU, with the greatest peak."""
    chosen = sorted(rounds, key=lambda figure: figure.cpu_ms)[(len(rounds) - 1) // 2]
    return Figure(
        name=chosen.name,
        operations=sum(figure.operations for figure in rounds),
        cpu_ms=chosen.cpu_ms,
        rate=median(figure.rate for figure in rounds),
        p50_ms=median(figure.p50_ms for figure in rounds),
        p99_ms=max(figure.p99_ms for figure in rounds),
        peak_bytes=max(figure.peak_bytes for figure in rounds),
        written_bytes=median(figure.written_bytes for figure in rounds),
    )


def heading(versions: Mapping[str, str]) -> str:
    """When, where and what: without it no figure can be compared."""
    day = datetime.now(UTC).date().isoformat()
    servers = " and ".join(f"{kind} {version}" for kind, version in versions.items())
    return f"{day}, {servers}, Python {platform.python_version()}, {os.cpu_count()} cores.\n"


def table(measured: Mapping[str, Figures]) -> str:
    """A Markdown table: a row an operation; the kinds of server side by side, the ratio of their CPU, the target."""
    kinds = list(measured)
    head = ["operation", *(f"{kind} CPU ms" for kind in kinds)]
    if len(kinds) == 2:
        head += ["ratio", "target"]
    for title in ("a second", "p50 ms", "p99 ms", "peak MiB", "KiB written"):
        head += [f"{kind} {title}" for kind in kinds] if len(kinds) > 1 else [title]
    names = list(dict.fromkeys(name for figures in measured.values() for name in figures))
    rows = [_row(name, [figures.get(name) for figures in measured.values()]) for name in names]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _row(name: str, figures: Sequence[Figure | None]) -> list[str]:
    cells = [name, *(_number(figure.cpu_ms if figure else None) for figure in figures)]
    if len(figures) == 2:
        ours, theirs = figures
        ratio = theirs.cpu_ms / ours.cpu_ms if ours and theirs and ours.cpu_ms else None
        target = targets.ABSOLUTE.get(name) or (f"≥ {targets.RATIOS[name]:g}×" if name in targets.RATIOS else "")
        cells += ["" if ratio is None else f"{ratio:.1f}×", target]
    for column in ("rate", "p50_ms", "p99_ms", "peak_bytes", "written_bytes"):
        scale = {"peak_bytes": 1 << 20, "written_bytes": 1 << 10}.get(column, 1)
        cells += [_number(getattr(figure, column) / scale if figure else None) for figure in figures]
    return cells


def _number(value: float | None) -> str:
    if not value:
        return ""
    return (
        f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
    )


def document(measured: Mapping[str, Figures], versions: Mapping[str, str], arguments: Sequence[str]) -> dict[str, Any]:
    """Everything a later reader needs to compare, as a JSON value."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": list(arguments),
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "kernel": platform.release()},
        "versions": dict(versions),
        "figures": {kind: [asdict(figure) for figure in figures.values()] for kind, figures in measured.items()},
    }
