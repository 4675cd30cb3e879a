import sys

import pytest

from tests.unit.cli.conftest import Run
from watchword import __version__
from watchword.cli import main as command_line
from watchword.cli.main import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: watchword {name}")
    assert len(result.output.splitlines()[2].strip()) > 20


def test_the_commands_are_listed_in_the_order_in_which_one_meets_them(run: Run) -> None:
    output = run("--help").output
    assert sorted(COMMANDS, key=lambda name: output.index(f"\n  {name} ")) == list(COMMANDS)


def test_the_version_is_told(run: Run) -> None:
    assert __version__ in run("--version").output


def test_an_unknown_command_is_a_mistake_in_the_call(run: Run) -> None:
    result = run("dance")
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["check-config"], 2, "server_name"),
        (["invite", "--room", "!room:a.example"], 2, "--room needs --by"),
        (["check-config", "-s", "no-value"], 2, "expected KEY=VALUE"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_not_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, text: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["watchword", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    said = capsys.readouterr()
    assert ended.value.code == status
    assert text in said.err
    assert "Traceback" not in said.err
