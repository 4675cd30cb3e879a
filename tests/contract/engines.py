"""The storage engines that the contract suites run against, each opened on an empty database."""

from collections.abc import Callable, Mapping
from pathlib import Path

from watchword.storage import Database, SqliteDatabase

ENGINES: Mapping[str, Callable[[Path], Database]] = {"sqlite": lambda folder: SqliteDatabase(folder / "contract.db")}
