"""Nothing in the repository names the machine that it was written on, or the host of a package index."""

import re
import subprocess

import pytest

from tests.house.source import ROOT

# Written in pieces, so that this file does not find itself.
_WORDS = re.compile(
    "|".join(("/wor" + "k/", "/roo" + "t/", "/opt/whe" + "els", r"\.\./sha" + "red", r"pypi\.o" + "rg", "pythonho" + "sted"))
)


def test_no_file_names_a_machine_or_a_package_index() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git repository")
    found = []
    for name in listing.stdout.decode().split("\0"):
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{name}: {word}" for word in sorted(set(_WORDS.findall(text)))]
    assert not found
