"""Olm, Megolm, cross-signing, secret storage and key backup as one pure state machine on vodozemac.

No module here opens a socket or a file, reads a clock of its own, or waits. Primitives come from vodozemac and
`cryptography`; what is written here is only what the specification says to do with them.

Invariants: a device's identity keys never change once seen; a ratchet that moved is recorded before anything made with
it leaves the machine (the caller saves `Records` before it sends); nothing received by an unencrypted channel is a key.

Spec: client-server-api#end-to-end-encryption
"""
