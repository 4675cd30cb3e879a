"""Spaces: walking through a tree of rooms, here and on other servers, and describing single rooms to who is not in them.

Nothing is stored: a space is what its state says. What other servers say is kept for a while, in memory and bounded.

Spec: client-server-api#spaces, server-server-api#spaces
"""
