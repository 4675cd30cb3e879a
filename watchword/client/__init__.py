"""The client SDK: end-to-end encryption as a pure machine, and a small asyncio session around it.

`crypto/machine.py` decides (values in, requests out); `store.py` keeps its records, encrypted, in SQLite; `http.py` and
`api.py` speak the client-server API; `session.py` ties them into login, sync, send and recovery. Terminal and web
clients are built on `Session`. Deliberately absent: anything of a homeserver, and anything that is shown to a person.
"""
