"""What a process tree has used so far, from /proc: CPU time, memory, bytes written to disk. Linux only."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _CHILD_UTIME, _CHILD_STIME = 1, 13, 14  # fields of /proc/PID/stat after the name


@dataclass(frozen=True)
class Usage:
    """cpu_ms includes children that have ended; memory and disk count the processes that live now."""

    cpu_ms: float
    resident_bytes: int
    peak_bytes: int
    written_bytes: int


class ProcessTree:
    """A process and its descendants. The CPU time of what lives is exact; that of ended children comes in ticks of 10 ms."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def usage(self) -> Usage:
        """Add up what every process of the tree has used."""
        ticks = resident = peak = written = 0
        cpu_ms = 0.0
        for pid, fields in self._members().items():
            cpu_ms += _cpu_ms(pid)
            ticks += int(fields[_CHILD_UTIME]) + int(fields[_CHILD_STIME])
            memory = _table(f"/proc/{pid}/status")
            resident += _kibibytes(memory.get("VmRSS"))
            peak += _kibibytes(memory.get("VmHWM"))
            written += int(_table(f"/proc/{pid}/io").get("write_bytes", "0"))
        return Usage(cpu_ms + ticks * 1000 / _TICKS_A_SECOND, resident, peak, written)

    def forget_peak(self) -> None:
        """Begin a new peak of memory at what is resident now."""
        for pid in self._members():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                continue

    def _members(self) -> dict[int, list[str]]:
        everyone = {pid: fields for entry in os.listdir("/proc") if entry.isdigit() and (fields := _stat(pid := int(entry)))}
        members = {self._pid} & everyone.keys()
        grown = True
        while grown:
            born = {pid for pid, fields in everyone.items() if int(fields[_PARENT]) in members}
            grown = not born <= members
            members |= born
        return {pid: everyone[pid] for pid in members}


def _cpu_ms(pid: int) -> float:
    """The CPU time of a process and all its threads, ended ones too: the kernel has a clock for each, named like this."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e6
    except OSError:
        return 0.0


def _stat(pid: int) -> list[str]:
    try:
        # The name is in brackets and may hold anything, brackets too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _table(path: str) -> dict[str, str]:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _kibibytes(text: str | None) -> int:
    return 0 if text is None else int(text.split()[0]) * 1024
