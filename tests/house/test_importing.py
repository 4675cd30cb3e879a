"""Importing a module does nothing: no thread, no process, no connection, no file written."""

import subprocess
import sys

_PROGRAM = """
import importlib, pkgutil, sys, threading
import watchword
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "sqlite3.connect", "os.mkdir", "os.remove"):
        raise SystemExit(f"{name}: {event} {arguments!r}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise SystemExit(f"{name}: writes {arguments[0]!r}")
names = [info.name for info in pkgutil.walk_packages(watchword.__path__, "watchword.") if not info.name.endswith("__main__")]
sys.dont_write_bytecode = True
name = ""
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
    if threading.active_count() > 1:
        raise SystemExit(f"{name}: starts a thread")
print(len(names))
"""


def test_importing_every_module_does_nothing() -> None:
    command = [sys.executable, "-B", "-c", _PROGRAM]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert int(finished.stdout) > 10
