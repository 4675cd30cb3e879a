"""Numbered SQL files, applied once each, forward only.

Every feature carries its own: `<feature>/schema/0001_name.sql`, `0002_…`. A file that was applied is never edited.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from watchword.base.errors import StorageError
from watchword.storage.database import Database, Tx

_LEDGER = """CREATE TABLE IF NOT EXISTS migrations (
    feature TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (feature, number)
) STRICT, WITHOUT ROWID"""


@dataclass(frozen=True)
class Schema:
    """One feature's migrations: its name and the package that holds `schema/*.sql`."""

    feature: str
    package: str


async def migrate(database: Database, schemas: Sequence[Schema]) -> int:
    """Apply what is missing, each file in a transaction of its own; return how many were applied.

    Raises StorageError if the database was written by a newer Watchword (it has a migration that we do not know).
    """
    async with database.write() as tx:
        await tx.execute(_LEDGER)
    applied = 0
    for schema in schemas:
        known = _files(schema)
        async with database.read() as view:
            rows = await view.fetch_all("SELECT number FROM migrations WHERE feature = ?", schema.feature)
        done = {int(row[0]) for row in rows}
        if newer := done - known.keys():
            raise StorageError(
                f"the database has migration {max(newer)} of {schema.feature}, which this version of Watchword "
                "does not know: start the newer version again"
            )
        for number in sorted(known.keys() - done):
            async with database.write() as tx:
                await _apply(tx, schema.feature, number, known[number])
            applied += 1
    return applied


async def _apply(tx: Tx, feature: str, number: int, script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            await tx.execute(statement)
    await tx.execute("INSERT INTO migrations (feature, number) VALUES (?, ?)", feature, number)


def _files(schema: Schema) -> dict[int, str]:
    folder = files(schema.package).joinpath("schema")
    return {int(file.name[:4]): file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
