import subprocess
import sys
from pathlib import Path

import pytest

from watchword.base.errors import ConfigError, StorageError
from watchword.storage.folder import FolderClaim, make_folder


def test_a_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "deep" / "data")
    make_folder(tmp_path / "deep" / "data")
    assert (tmp_path / "deep" / "data").stat().st_mode & 0o777 == 0o700


def test_a_place_where_no_folder_can_be_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="data_dir"):
        make_folder(tmp_path / "file" / "data")


def test_a_folder_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    claim = FolderClaim(tmp_path, "a.example")
    with pytest.raises(StorageError, match="in use by another process"):
        FolderClaim(tmp_path, "a.example")
    claim.release()
    FolderClaim(tmp_path, "a.example").release()


def test_a_process_that_dies_leaves_no_claim(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from watchword.storage.folder import FolderClaim;"
        "claim = FolderClaim(pathlib.Path(sys.argv[1]), 'a.example'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", program, str(tmp_path)], check=False).returncode == 9
    FolderClaim(tmp_path, "a.example").release()


def test_a_folder_stays_its_server_s(tmp_path: Path) -> None:
    FolderClaim(tmp_path, "a.example").release()
    with pytest.raises(ConfigError, match=r"expected 'a\.example', whose data"):
        FolderClaim(tmp_path, "b.example")
    FolderClaim(tmp_path, "a.example").release()
