"""Discovery: which versions are spoken, what the server can do, and where it is to be found.

Spec: client-server-api#server-discovery, client-server-api#capabilities-negotiation,
server-server-api#getwell-knownmatrixserver

Invariant: nothing is announced that is not served. Everything here follows from settings; there is no state.
"""
