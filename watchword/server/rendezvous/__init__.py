"""Rendezvous: a spot where two devices of a person meet before one of them is logged in (sign-in by QR code).

What they leave there is theirs to encrypt: the server sees a short text, forgets it after minutes, and keeps it nowhere
but in memory. Both generations of the interface are served, since clients of both are in use: a text with `ETag`
(proposals/4108) and JSON with a sequence token (proposals/4388). Invariants: whoever writes names the revision that he
saw; the number, the size and the life of sessions are bounded.
"""
