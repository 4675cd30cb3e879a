"""Application services: bridges and bots with a part of the names of this server to themselves.

Their registrations are files that the operator writes; nobody registers over the network. What they may be is decided in
`registration`; `authority` says whose token it is and whom it speaks for; a `delivery` for each follows the log and hands
over what concerns it, in order, repeated until it is taken; `queries` asks them about names that they alone know.
Invariants: a transaction that was tried once never changes; what was taken is not sent again; one that does not answer
holds up nobody else.

Spec: application-service-api
"""

from watchword.storage import Schema

SCHEMA = Schema("appservices", "watchword.server.appservices")

__all__ = ["SCHEMA"]
