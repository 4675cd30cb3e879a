"""`./run endpoints`: which operations of the specification have code, and which have none yet."""

import sys

from tests.house.operations import blanked, served, specified


def main() -> None:
    """Print one line an operation: + served, - not; then what we serve beyond the specification."""
    rows = {(row.method, blanked(row.path)): module for module, row in served()}
    operations = specified()
    for key, operation in sorted(operations.items(), key=lambda item: (item[1].page, item[1].path, item[1].method)):
        mark = "+" if key in rows else "-"
        sys.stdout.write(f"{mark} {operation.method:7} {operation.path:80} {rows.get(key, operation.name)}\n")
    for method, path in sorted(rows.keys() - operations.keys()):
        sys.stdout.write(f"* {method:7} {path:80} {rows[method, path]}\n")
    for page in sorted({operation.page for operation in operations.values()}):
        keys = {key for key, operation in operations.items() if operation.page == page}
        sys.stdout.write(f"{page}: {len(keys & rows.keys())} of {len(keys)} operations served\n")


if __name__ == "__main__":
    main()
