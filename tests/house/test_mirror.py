"""`tests/unit` mirrors the program: each module that does something has its test file, and each test file its module.

A module of words alone (constants, dataclasses, protocols) has nothing to test. `without_tests.txt` names the modules
whose tests are still owed; it may only shrink.
"""

import ast
from pathlib import Path

from tests.house.source import PACKAGE, ROOT, modules, tree

_UNIT = ROOT / "tests" / "unit"
_OWED = Path(__file__).with_name("without_tests.txt")


def _does_something(path: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_empty(node) for node in ast.walk(tree(path))
    )


def _is_empty(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in function.body)


def _test_of(module: Path) -> Path:
    inside = module.relative_to(PACKAGE)
    name = "package" if module.name == "__init__.py" else module.stem
    return _UNIT / inside.parent / f"test_{name}.py"


def _owed() -> set[str]:
    lines = _OWED.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_every_module_that_does_something_has_its_test_file() -> None:
    missing = {str(path.relative_to(ROOT)) for path in modules() if _does_something(path) and not _test_of(path).exists()}
    owed = sorted(missing - _owed())
    assert not owed, "write the tests of\n" + "\n".join(owed)


def test_the_list_of_owed_tests_only_shrinks() -> None:
    paid = {name for name in _owed() if not (ROOT / name).exists() or _test_of(ROOT / name).exists()}
    assert not paid, "strike them from without_tests.txt"


def test_every_test_file_has_its_module() -> None:
    expected = {_test_of(path) for path in modules()}
    orphans = [str(path.relative_to(ROOT)) for path in sorted(_UNIT.rglob("test_*.py")) if path not in expected]
    assert not orphans
