"""Server notices: what the server itself has to say to its users, one room for each.

The room is made by the server's own user, tagged `m.server_notice`, and its invite cannot be rejected (`rooms` sees to that).
Deliberately absent: what is said, and when.

Spec: client-server-api#server-notices
"""

from watchword.storage import Schema

SCHEMA = Schema("notices", "watchword.server.notices")
