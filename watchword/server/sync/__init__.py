"""`/sync`: a reader of the log. It answers what changed for one device, and writes to no room.

Spec: client-server-api#syncing
"""
