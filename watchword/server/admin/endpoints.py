"""Every door of administration. `app` mounts this table with an `Admin`."""

from watchword.server.admin import (
    endpoints_compatible_rooms,
    endpoints_compatible_users,
    endpoints_rooms,
    endpoints_server,
    endpoints_users,
)

ENDPOINTS = (
    *endpoints_users.ENDPOINTS,
    *endpoints_rooms.ENDPOINTS,
    *endpoints_server.ENDPOINTS,
    *endpoints_compatible_users.ENDPOINTS,
    *endpoints_compatible_rooms.ENDPOINTS,
)
