"""Our own source as the house tests see it: files and syntax trees. Nothing here imports what it looks at."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "watchword"


def modules() -> Iterator[Path]:
    """Every module of the program, in order."""
    return iter(sorted(PACKAGE.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(path: Path) -> str:
    """The name that a module is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_tables(module: str) -> bool:
    """Whether a module is one of its feature's tables: `tables`, or `something_tables` where there are many."""
    last = module.rpartition(".")[2]
    return last == "tables" or last.endswith("_tables") or last.startswith("tables_")


def is_decision(module: str) -> bool:
    """Whether a module decides, and so must be pure."""
    last = module.rpartition(".")[2]
    return last == "decide" or last.startswith("decide_") or last.endswith("_decide")


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module that is not a docstring, with its line; the fixed parts of an f-string as one string."""
    module = tree(path)
    ignored: set[int] = set()
    for node in ast.walk(module):
        # A string that stands alone is a docstring, of a module, a function, or an attribute.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            ignored.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            ignored.update(id(part) for part in node.values)
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ignored:
            yield node.lineno, node.value


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """(what, docstring) of a module and everything in it that has one."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "name", dotted(path)), text
