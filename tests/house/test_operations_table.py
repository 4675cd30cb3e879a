"""`docs/operations.md` says what is served and how that is proved, and is up to date."""

from tests.house.operations import blanked, served, specified
from tests.house.operations_table import NEXT, since, table
from tests.house.source import ROOT
from watchword import __version__


def test_the_page_of_operations_is_up_to_date() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert page == "\n".join(table()).rstrip("\n") + "\n", "python -m tests.house.operations_table > docs/operations.md"


def test_what_a_release_served_is_served_still() -> None:
    rows = {(row.method, blanked(row.path)) for _, row in served()}
    assert since().keys() & specified().keys() <= rows
    assert __version__ in since().values() or __version__ == NEXT
