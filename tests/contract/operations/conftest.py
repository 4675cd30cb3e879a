"""One world for each worker, built once, and servers that begin at it."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.operations.stage import Stage, copy_of
from tests.contract.operations.world import Builder, Cast

_numbers = itertools.count()


@dataclass(frozen=True)
class Beginning:
    """A stopped server's folder, and what is in it."""

    runner: asyncio.Runner
    folder: Path
    cast: Cast

    def stage(self, **settings: Any) -> Stage:
        """A server that begins here. settings: sections of the configuration to have instead."""
        copy = copy_of(self.folder, self.folder.with_name(f"stage{next(_numbers)}"))
        return Stage(self.runner, copy, seed=2, **settings)


@pytest.fixture(scope="session")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beginning]:
    """The world."""
    folder = tmp_path_factory.mktemp("world") / "begin"
    folder.mkdir()
    with asyncio.Runner() as runner:
        stage = Stage(runner, folder)
        try:
            cast = Builder(stage).build()
            stage.settle()
        finally:
            stage.close()
        assert not stage.failures.records, stage.failures.records
        yield Beginning(runner, folder, cast)


@pytest.fixture
def staged(beginning: Beginning) -> Iterator[Callable[..., Stage]]:
    """Makes servers that begin at the world, and stops them; none of them may have failed inside."""
    stages: list[Stage] = []

    def start(**settings: Any) -> Stage:
        stages.append(beginning.stage(**settings))
        return stages[-1]

    yield start
    for stage in stages:
        stage.close()
    failures = [record for stage in stages for record in stage.failures.records]
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def library(beginning: Beginning) -> Iterator[Stage]:
    """A server that is only read from, by all tests of a module."""
    stage = beginning.stage()
    yield stage
    stage.close()


@pytest.fixture
def cast(beginning: Beginning) -> Cast:
    """Everybody and everything."""
    return beginning.cast
