"""The database, the log and the migrations. Only this folder knows the driver; SQL of a feature stays in its `tables.py`.

Invariants: one writer; a transaction is acknowledged only after its commit is durable; positions become visible in
order and without gaps; migrations only go forward.
"""

from watchword.storage.database import Also, Database, ReadTx, Row, Tx, Value
from watchword.storage.log import Log, Logged, Position
from watchword.storage.migrations import Schema, migrate
from watchword.storage.sqlite import SqliteDatabase

__all__ = [
    "Also",
    "Database",
    "Log",
    "Logged",
    "Position",
    "ReadTx",
    "Row",
    "Schema",
    "SqliteDatabase",
    "Tx",
    "Value",
    "migrate",
]
