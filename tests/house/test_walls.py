"""The walls of `.importlinter` stand where they say, all of them, and know every module that they must know."""

import configparser
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, ROOT, dotted, is_decision, is_tables, modules

# One violation for every contract: which module shall import what. Hidden in a function, or where only type checkers look.
_PLANTED: Mapping[str, tuple[str, str]] = {
    "storeys": ("watchword.base.planted", "watchword.edge.request"),
    "web": ("watchword.web.planted", "watchword.client"),
    "features": ("watchword.server.accounts.planted", "watchword.server.rooms"),
    "inside": ("watchword.server.rooms.commands", "watchword.server.rooms.decide"),
    "pure": ("watchword.protocol.planted", "time"),
    "tables-accounts": ("watchword.server.rooms.planted", "watchword.server.accounts.tables"),
    "tables-admin": ("watchword.server.rooms.planted", "watchword.server.admin.tables"),
    "tables-appservices": ("watchword.server.sync.planted", "watchword.server.appservices.tables"),
    "tables-e2ee": ("watchword.server.sync.planted", "watchword.server.e2ee.tables"),
    "tables-media": ("watchword.server.sync.planted", "watchword.server.media.tables"),
    "tables-client": ("watchword.networks.planted", "watchword.client.tables"),
    "tables-rooms": ("watchword.server.sync.planted", "watchword.server.rooms.tables"),
    "tables-federation": ("watchword.server.sync.planted", "watchword.server.federation.tables"),
    "tables-moderation": ("watchword.server.sync.planted", "watchword.server.moderation.tables"),
    "tables-oauth": ("watchword.server.sync.planted", "watchword.server.oauth.tables"),
    "tables-search": ("watchword.server.sync.planted", "watchword.server.search.tables"),
    "tables-delayed": ("watchword.server.sync.planted", "watchword.server.delayed.tables"),
    "tables-sliding": ("watchword.server.sync.planted", "watchword.server.sync.sliding.tables"),
    "tables-notices": ("watchword.server.sync.planted", "watchword.server.notices.tables"),
    "tables-push": ("watchword.server.sync.planted", "watchword.server.push.tables"),
    "driver": ("watchword.server.rooms.planted", "apsw"),
}


def _contracts() -> dict[str, configparser.SectionProxy]:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {name.removeprefix(prefix): config[name] for name in config.sections() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the house into which every violation was planted."""
    copy: Path = tmp_path_factory.mktemp("house")
    shutil.copytree(PACKAGE, copy / "watchword", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", copy)
    for number, (importer, imported) in enumerate(_PLANTED.values()):
        file = copy / (importer.replace(".", "/") + ".py")
        if number % 2:
            lines = f"\ndef planted_{number}() -> None:\n    import {imported}\n"
        else:
            lines = f"\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import {imported}\n"
        with file.open("a", encoding="utf-8") as module:
            module.write(lines)
    program = "from importlinter.cli import lint_imports_command as main; main()"
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo", "--config", ".importlinter"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False).stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert _contracts().keys() == _PLANTED.keys()


@pytest.mark.parametrize("name", _PLANTED)
def test_a_planted_violation_breaks_its_contract(name: str, verdict: str) -> None:
    title = _contracts()[name]["name"]
    assert f"{title} BROKEN" in verdict, verdict[-3000:]
    importer, imported = _PLANTED[name]
    assert f"{importer} is not allowed to import {imported}" in verdict or f"{importer} -> {imported}" in verdict


def test_every_module_with_tables_is_behind_a_wall() -> None:
    walled = {
        module
        for contract in _contracts().values()
        if contract["type"] == "protected"
        for module in contract["protected_modules"].split()
    }
    found = {dotted(path) for path in modules() if is_tables(dotted(path))}
    assert found == walled, "keep the contracts `tables-…` of .importlinter true to the tree"


def test_every_decision_is_held_to_be_pure() -> None:
    sources = _contracts()["pure"]["source_modules"].split()
    found = {dotted(path) for path in modules() if is_decision(dotted(path))}
    missing = {module for module in found if not module.endswith(".decide")} - set(sources)
    assert not missing, "name them in the contract `pure` of .importlinter"
