"""The folder that holds everything of one server: private to its user, and claimed by one process of one server at a time.

Two processes would both hand out the log's next position; a server of another name would sign for users it does not have.
Deliberately absent: what is in the folder.
"""

import fcntl
from pathlib import Path

from watchword.base.errors import ConfigError, StorageError

_CLAIM = "claimed-by"


def make_folder(folder: Path) -> None:
    """Make the folder if it is not there. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("settings", "data_dir", str(folder), "a folder that can be made") from error


class FolderClaim:
    """A folder as long as it is ours. The lock ends with the process, however that ends.

    Raises ConfigError if the folder belongs to another server or cannot be written, StorageError if another process has it.
    """

    def __init__(self, folder: Path, server_name: str) -> None:
        make_folder(folder)
        path = folder / _CLAIM
        try:
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError("settings", "data_dir", str(folder), "a folder that can be written to") from error
        try:
            self._take(folder, server_name)
        except BaseException:
            self._file.close()
            raise

    def _take(self, folder: Path, server_name: str) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(f"{folder} is in use by another process") from error
        self._file.seek(0)
        owner = self._file.read().strip()
        if owner and owner != server_name:
            raise ConfigError("settings", "server_name", server_name, f"{owner!r}, whose data are in {folder}")
        if not owner:
            self._file.write(f"{server_name}\n")
            self._file.flush()

    def release(self) -> None:
        """Let another process have it."""
        self._file.close()
