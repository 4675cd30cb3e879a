"""Calls: where two devices meet that cannot reach each other, and which media servers carry calls of many.

Spec: client-server-api#voice-over-ip, and proposal 4143 for media servers.

There is no state: everything follows from settings, the clock and who asks. Deliberately absent: the servers themselves,
and letting people into a media server, which is the work of the service beside it.
"""
