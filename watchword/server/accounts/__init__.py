"""Accounts: users, their devices, sessions and tokens, invitations, profiles, account data, filters, presence.

Spec: client-server-api sections on authentication, devices, profiles, account data, filtering, presence and OpenID.

Invariants: a name is never handed out twice; tokens and invitations are stored hashed and shown once; an invitation
never makes more accounts than it allows; a token is invalid everywhere once the change that ended it is durable;
a finished interactive authentication is good for one request alone.

E-mail addresses and telephone numbers are in `threepids`. Deliberately absent: rooms (they follow the log), device keys (e2ee).
"""

from watchword.storage import Schema

SCHEMA = Schema("accounts", "watchword.server.accounts")
