"""Push: how many events a user has not read, the rules that say which count, and the gateways that are told.

Counts are worked out when somebody reads them: writing an event costs nothing per receiver. Evaluating a rule is
`protocol`'s; the bytes of a sync response are `sync`'s.

Spec: client-server-api#push-notifications
"""

from watchword.storage import Schema

SCHEMA = Schema("push", "watchword.server.push")
