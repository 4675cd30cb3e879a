"""Events that are sent later: kept until their time, sent as their sender, called off or put off by whoever knows their ID.

What is kept survives a stop: what fell due meanwhile is sent after the start. An event is sent once, whenever the server dies:
its ID is the transaction of the send, so that `rooms` knows whether it was. Whether it may be sent is decided when it is sent.
Deliberately absent: telling clients of events that could not be sent (they ask), and ending what a device has scheduled when
that is signed out: "I have left the call" must be said just then.

Spec: proposals/4140
"""

from watchword.storage import Schema

SCHEMA = Schema("delayed", "watchword.server.delayed")
