"""The key backup: room keys that clients encrypt and the server keeps. A part of e2ee with a door of its own.

Invariants: only the newest version is written; a stored key is replaced only by a better one; the etag changes exactly
when the content does; the number of a deleted version is never given again.

Spec: client-server-api#server-side-key-backups
"""
