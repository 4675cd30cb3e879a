"""`./run` teaches what it can do, and continuous integration runs what the README tells people to run."""

import re
import subprocess

from tests.house.source import ROOT

_RUN = ROOT / "run"


def _help() -> str:
    return subprocess.run([str(_RUN), "help"], capture_output=True, text=True, check=True).stdout


def test_every_command_is_in_the_help() -> None:
    main = _RUN.read_text(encoding="utf-8").partition("\nmain() {")[2]
    commands = {name for line in re.findall(r"^ +([a-z |]+)\) ", main, re.MULTILINE) for name in line.split(" | ")}
    words = set(re.findall(r"[a-z]+", _help()))
    assert {"demo", "up", "test", "check", "bench"} <= commands <= words


def test_an_unknown_command_is_refused() -> None:
    assert subprocess.run([str(_RUN), "nonsense"], capture_output=True, check=False).returncode == 2


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    readme = ROOT / "README.md"
    assert "exec ./run check\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert not readme.exists() or "./run check" in readme.read_text(encoding="utf-8")


def test_locked_requirements_name_no_index_and_hash_every_package() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, file
        pins = re.split(r"\n(?=[a-z0-9])", text)[1:]
        assert pins, file
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins), file
