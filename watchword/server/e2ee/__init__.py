"""End-to-end encryption, the server's part: device keys, cross-signing, device lists, to-device messages, key backup.

The server stores and hands on what devices publish; it never sees a private key or a plaintext. Signatures are checked
where the specification asks for it, so that a client's mistake is found at upload; clients trust none of it.

Invariants: a one-time key is handed out at most once; a to-device message is deleted only after the client came back
with the position that followed it; the cached device list of another server's user answers a query only while this
server is told of every change in it; a user named by another server belongs to that server.

Spec: client-server-api#end-to-end-encryption, client-server-api#send-to-device-messaging,
server-server-api#device-management, server-server-api#send-to-device-messaging
"""

from watchword.storage.migrations import Schema

SCHEMA = Schema("e2ee", "watchword.server.e2ee")

__all__ = ["SCHEMA"]
