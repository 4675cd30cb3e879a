import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.server.media import sandboxed
from watchword.server.media.sandboxed.confinement import filter_program

_FOLDER = str(Path(sandboxed.__file__).parents[1])
_PREPARE = """
import sys, os, socket, signal, resource
sys.path.append(sys.argv[1])
from sandboxed import confinement
inherited = os.dup(0)
confinement.close_inherited()
confinement.limit(1 << 30, 10)
is_filtered = confinement.lock()
def refused(what):
    try:
        what()
    except (OSError, MemoryError, ValueError) as error:
        print(what.__name__, type(error).__name__)
        return
    print(what.__name__, "ALLOWED")
"""
_TRIES = """
def reads_a_file(): open("/etc/passwd")
def lists_a_folder(): os.listdir("/")
def writes_a_file(): open("written", "w")
def connects(): socket.socket()
def forks(): os.fork()
def runs(): os.execv("/bin/true", ["true"])
def kills(): os.kill(os.getppid(), 0)
def pipes(): os.pipe()
def eats(): bytearray(2 << 30)
def inherits(): os.fstat(inherited)
def relaxes(): resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
for what in (reads_a_file, lists_a_folder, writes_a_file, connects, forks, runs, kills, pipes, eats, inherits, relaxes):
    refused(what)
print("filtered", is_filtered)
os._exit(0)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no filter is known for this machine")
def test_a_confined_process_can_compute_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-u", "-c", _PREPARE + _TRIES, _FOLDER]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=30)
    lines = finished.stdout.splitlines()
    assert len(lines) == 12, finished.stderr
    assert lines[-1] == "filtered True"
    assert not [line for line in lines if "ALLOWED" in line]
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_computes_for_ever_is_ended() -> None:
    program = _PREPARE.replace("1 << 30, 10", "1 << 30, 1") + "\nwhile True: pass"
    finished = subprocess.run([sys.executable, "-I", "-c", program, _FOLDER], capture_output=True, check=False, timeout=30)
    assert finished.returncode < 0


def test_the_filter_knows_two_machines() -> None:
    for machine in ("x86_64", "aarch64"):
        program = filter_program(machine)
        assert program is not None
        lines = list(struct.iter_unpack("=HBBI", program))
        assert lines[-1][3] == 0x7FFF0000
        # Every jump of the list lands on the last line, which allows.
        assert all(index + 1 + jump == len(lines) - 1 for index, (_, jump, _, _) in enumerate(lines) if index > 3 and jump)
    assert filter_program("riscv64") is None
