"""The content repository: uploads, downloads, thumbnails, previews of web pages, files of other servers kept here.

A file is named by the SHA-256 of its bytes and stored once, however often it is uploaded. A row that names it is written
only after the file is durable. A crash leaves half-written files in the temporary folder, which the next start empties,
and at worst a whole file that no row names, which `upkeep` finds. Media is never wholly in memory.

Who does what: `service` stores and finds, `thumbnails` and `previews` look into files, `removal` deletes and hides, `upkeep`
sweeps. Decoders run in limited processes alone (`sandbox` starts them, `sandboxed` is what runs there).

Invariants: bytes reach a client only with headers that keep a browser from running them; nothing is served without
authentication but what was stored before a time that the operator set; no path on disk contains a name that a client chose;
this process loads no decoder; no file goes that a row names.

Spec: client-server-api#content-repository
"""

from watchword.storage.migrations import Schema

SCHEMA = Schema("media", "watchword.server.media")

__all__ = ["SCHEMA"]
