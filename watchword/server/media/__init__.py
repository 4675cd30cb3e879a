"""The content repository: uploads, downloads, files of other servers kept here.

A file is named by the SHA-256 of its bytes and stored once, however often it is uploaded. A row that names it is written
only after the file is durable. A crash leaves half-written files in the temporary folder, which the next start empties,
and at worst a whole file that no row names: harmless, and found again when the same bytes come. Media is never wholly in
memory.

Invariants: bytes reach a client only with headers that keep a browser from running them; nothing is served without
authentication; no path on disk contains a name that a client chose.

Deliberately absent: looking into files. Thumbnails and previews have their place in `thumbnails`.

Spec: client-server-api#content-repository
"""

from watchword.storage.migrations import Schema

SCHEMA = Schema("media", "watchword.server.media")

__all__ = ["SCHEMA"]
