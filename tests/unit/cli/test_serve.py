from pathlib import Path

import click
import pytest

from tests.unit.cli.conftest import Run
from watchword.base.errors import ConfigError
from watchword.cli.serve import load_config


def test_settings_in_order_are_said_to_be(run: Run, settings: Path) -> None:
    result = run("check-config", "-c", settings)
    assert result.output == "The settings of a.example are in order.\n"
    assert not (settings.parent / "data").exists()


def test_every_mistake_in_the_settings_is_named(settings: Path) -> None:
    with settings.open("a", encoding="utf-8") as file:
        file.write('[registration]\nmode = "ajar"\n[limits]\nconnections_max = 0\n')
    with pytest.raises(ConfigError) as found:
        load_config(settings, ())
    for text in (str(settings), "registration.mode", "ajar", "limits.connections_max"):
        assert text in str(found.value)


def test_a_setting_of_the_call_wins_over_the_file_and_the_environment(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config(settings, ()).registration.mode == "invitation"
    monkeypatch.setenv("WATCHWORD_REGISTRATION__MODE", "open")
    assert load_config(settings, ()).registration.mode == "open"
    assert load_config(settings, ("registration.mode=closed",)).registration.mode == "closed"


def test_a_setting_without_a_value_is_a_mistake_in_the_call(settings: Path) -> None:
    with pytest.raises(click.UsageError, match="expected KEY=VALUE"):
        load_config(settings, ("registration.mode",))
