"""The values that pass between the files of media. Plain data."""

from dataclasses import dataclass
from typing import NamedTuple

from watchword.base import limits
from watchword.protocol.ids import ServerName


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """What an operator may choose.

    upload_bytes_max: also what `config` tells clients. remote_bytes_max: the largest file fetched from another server.
    frozen_since_ts: the unauthenticated endpoints serve only what was stored before; 0 serves nothing there.
    """

    upload_bytes_max: int = limits.upload_bytes_max
    remote_bytes_max: int = limits.upload_bytes_max
    pending_uploads_max: int = limits.pending_uploads_max
    pending_upload_ms: int = limits.pending_upload_ms
    frozen_since_ts: int = 0


class StoredFile(NamedTuple):
    """A durable file: its name on disk, and its length."""

    sha256: bytes
    size_bytes: int


class Media(NamedTuple):
    """A file with the name and the type that it was uploaded with."""

    content_type: str
    file_name: str | None
    file: StoredFile
    created_ts: int


class MediaName(NamedTuple):
    """The two parts of an mxc URI."""

    server_name: ServerName
    media_id: str
