"""Two servers talking: server discovery, signing keys, request authentication, transactions in and out, calls to peers.

Spec: server-server-api. Federation carries bytes: what an event means, whether it may stand, and where it is stored is
the work of `rooms`; devices are the work of `e2ee`, files of `media`. It asks for them through `ports`.

Invariants: a peer is assumed to lie, to stall and to flood: every answer is bounded in bytes and time and checked in
shape. A user named by a peer belongs to that peer. One transaction at a time per destination. A destination's cursor
moves only past what it has acknowledged. What a peer does harms no other peer.
"""

from watchword.storage.migrations import Schema

SCHEMA = Schema("federation", "watchword.server.federation")

__all__ = ["SCHEMA"]
