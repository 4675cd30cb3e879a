"""Rooms: the writer, membership, state, history, receipts, typing, aliases.

Everything that happens in a room goes through `writer.py`, one writer per room, and enters the log in the transaction
that makes it true. `reader.py` answers every question about rooms that a feature upstairs may ask.

Invariants: a room's timeline is ordered by arrival here; current state is a line of changes, never snapshots; an event is
stored once, as signed; nothing is sent, shown or cited before it passed the authorisation rules.

Spec: client-server-api#rooms-1, server-server-api#pdus, rooms
"""

from watchword.storage import Schema

SCHEMA = Schema("rooms", "watchword.server.rooms")
