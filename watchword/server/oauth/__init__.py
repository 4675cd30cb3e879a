"""The OAuth 2.0 API and the pages that belong to it: sign-in, consent, registration, the account, single sign-on.

Spec: client-server-api#oauth-20-api, client-server-api#sso-client-loginauthentication

Invariants: the accounts, devices and tokens are those of `accounts`; an OAuth client holds a session like any other login.
Codes, device codes and the browser's token are kept as hashes, expire, and are good once. Nothing is sent to a redirect
URI that the client did not register, and no form is obeyed that our own page did not make. Every page works without
JavaScript and loads nothing from elsewhere.

Deliberately absent: ID tokens (Matrix has no use for them), client secrets (Matrix clients are public), implicit and
password grants.
"""

from watchword.storage import Schema

SCHEMA = Schema("oauth", "watchword.server.oauth")
