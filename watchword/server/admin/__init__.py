"""What an operator may do: typed commands and an audit log. Deliberately absent: administration by messages in a room.

Everything here is asked for by an administrator of this server, which is checked before anything is looked up, and leaves
an entry in the audit log: who, when, what, whom, how it went, from where. The same commands answer under our own prefix and
under the names that provisioning scripts know. Nothing here reads what is encrypted, and nobody acts in another's name.

Spec: client-server-api#server-administration
"""

from watchword.storage import Schema

SCHEMA = Schema("admin", "watchword.server.admin")
