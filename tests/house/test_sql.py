"""SQL stands in the tables of a feature and in `storage`, names its columns, and makes strict tables."""

import re

from tests.house.source import PACKAGE, ROOT, dotted, is_tables, modules, strings

_STATEMENT = re.compile(
    r"\s*(SELECT\b.+\bFROM\b|INSERT\s+(OR\s+\w+\s+)?INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b|WITH\s+\w+.*\bAS\s*\("
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|TRIGGER|VIEW|UNIQUE)\b|PRAGMA\s)",
    re.DOTALL,
)
_ALL_COLUMNS = re.compile(r"SELECT\s+(\w+\.)?\*|INSERT\s+(OR\s+\w+\s+)?INTO\s+\w+\s+(VALUES|SELECT)\b")
_COMMENT = re.compile("--.*")
_CREATE = re.compile(r"CREATE\s+TABLE\s+(IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)(?P<rest>[^;]*);")


def test_sql_is_found_only_in_tables_and_in_storage() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        if not is_tables(dotted(path)) and not path.is_relative_to(PACKAGE / "storage")
        for line, text in strings(path)
        if _STATEMENT.match(text)
    ]
    assert not found


def test_statements_name_their_columns() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        for line, text in strings(path)
        if _STATEMENT.match(text) and _ALL_COLUMNS.search(text)
    ]
    assert not found


def test_every_table_is_strict() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {table['name']}"
        for file in sorted(PACKAGE.rglob("schema/*.sql"))
        for table in _CREATE.finditer(_COMMENT.sub("", file.read_text(encoding="utf-8")))
        if "STRICT" not in table["rest"].rpartition(")")[2]
    ]
    assert not found


def test_migrations_are_numbered_without_gaps() -> None:
    for folder in PACKAGE.rglob("schema"):
        numbers = sorted(int(file.name[:4]) for file in folder.glob("*.sql"))
        assert numbers == list(range(1, len(numbers) + 1)), folder
