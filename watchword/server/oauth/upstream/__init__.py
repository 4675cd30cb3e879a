"""Providers of OpenID Connect that users may sign in with, and single sign-on for clients of the legacy API.

Spec: client-server-api#sso-client-loginauthentication; OpenID Connect Core 1.0 and Discovery 1.0, RFC 9207

Invariants: a provider is believed only what its ID token says, which is verified; the browser that comes back is the one
that was sent away; a login token goes to no address that the user has not seen.
"""
