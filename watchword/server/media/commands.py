"""The values that pass between the files of media. Plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from watchword.base import limits
from watchword.protocol.ids import ServerName, UserId


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user may store; None: as much as he likes."""

    bytes_max: int | None = None
    bytes_per_day_max: int | None = None
    files_max: int | None = None


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """What an operator may choose.

    upload_bytes_max: also what `config` tells clients. remote_bytes_max: the largest file fetched from another server.
    frozen_since_ts: the unauthenticated endpoints serve only what was stored before; 0 serves nothing there.
    copies_kept_ms, copies_bytes_max: how long a file of another server is kept after it was last asked for (None: for
    ever), and how much of them is kept at all. delete_with_event: whether a redaction deletes what the event showed.
    """

    upload_bytes_max: int = limits.upload_bytes_max
    remote_bytes_max: int = limits.upload_bytes_max
    pending_uploads_max: int = limits.pending_uploads_max
    pending_upload_ms: int = limits.pending_upload_ms
    frozen_since_ts: int = 0
    quota: Quota = Quota()
    copies_kept_ms: int | None = None
    copies_bytes_max: int | None = None
    delete_with_event: bool = True


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """How web pages are looked at for previews; off unless the operator says so.

    allow_hosts: patterns with `*` and `?`; None: everybody. deny_hosts wins. language: Accept-Language where a client says
    nothing. kept_ms: how long what a page said of itself is remembered.
    """

    enabled: bool = False
    allow_hosts: Sequence[str] | None = None
    deny_hosts: Sequence[str] = ()
    language: str = "en"
    kept_ms: int = 7 * 86_400_000


class Uploader(NamedTuple):
    """Who uploads. is_unlimited: quotas do not count for administrators."""

    user_id: UserId
    is_unlimited: bool = False


class StoredFile(NamedTuple):
    """A durable file: its name on disk, and its length."""

    sha256: bytes
    size_bytes: int


class Media(NamedTuple):
    """A file with the name and the type that it was uploaded with. kind: what its first bytes show; "": not looked at."""

    content_type: str
    file_name: str | None
    file: StoredFile
    created_ts: int
    kind: str = ""


class MediaName(NamedTuple):
    """The two parts of an mxc URI."""

    server_name: ServerName
    media_id: str


class Usage(NamedTuple):
    """What a user has stored: bytes and files in all, bytes of the last day."""

    bytes: int
    files: int
    bytes_of_day: int


class Quarantined(NamedTuple):
    """Bytes that are not served."""

    sha256: bytes
    quarantined_by: str
    reason: str
    created_ts: int


class Upload(NamedTuple):
    """A file that somebody uploaded. quarantined_by: "" if it is served."""

    media_id: str
    content_type: str
    file_name: str | None
    size_bytes: int
    sha256: bytes
    created_ts: int
    quarantined_by: str
