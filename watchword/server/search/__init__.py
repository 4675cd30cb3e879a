"""Search: messages by their words, people by their names, in any script. A follower of the log; it changes no room.

The index of messages holds no text that could be read back: only which words stand where. What was encrypted is never in
it. Every hit is looked at again with the eyes of whoever asks (`RoomView`) before it is shown.

Spec: client-server-api#server-side-search, client-server-api#user-directory
"""

from watchword.storage import Schema

SCHEMA = Schema("search", "watchword.server.search")
"""The tables of this feature."""
