"""Moderation: reports with a queue, policy lists that the operator subscribes to, invitations rejected in bulk.

What an administrator sees of it, and the audit log, are `admin`'s. Nothing here reads what is encrypted.

Spec: client-server-api#reporting-content, client-server-api#moderation-policy-lists
"""

from watchword.storage import Schema

SCHEMA = Schema("moderation", "watchword.server.moderation")
