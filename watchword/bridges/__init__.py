"""Portals and ghosts over the application service API, for any homeserver: one relay, many networks."""
