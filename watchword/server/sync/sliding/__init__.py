"""Simplified sliding sync, in the form in use and in the accepted form: one core, two thin forms on the wire.

A client names windows on the list of its rooms, ordered by their last event, and rooms by name; it is told of each what it
has not been told on this connection. Deliberately absent: rooms that are only looked at from outside (peeking).

Definition: MSC4186.
"""

from watchword.storage import Schema

SCHEMA = Schema("sliding", "watchword.server.sync.sliding")
