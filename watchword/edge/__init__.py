"""HTTP in and out. Bytes become a typed request at the door, a result becomes bytes; nothing is decided here.

In: `endpoint` (the rows of the table), `router` (table → trie over raw paths), `request`, `replies`, `authentication`
(who asks), `rate_limits`, `listener` (uvicorn). Out: `fetch`, the one client for every outgoing request.
"""
