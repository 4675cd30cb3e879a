"""The doors of rooms, all of them. `app.py` mounts this table with a `RoomDoors`."""

from watchword.server.rooms import (
    endpoints_directory,
    endpoints_membership,
    endpoints_reading,
    endpoints_relations,
    endpoints_sending,
    endpoints_upgrade,
)

ENDPOINTS = (
    *endpoints_sending.ENDPOINTS,
    *endpoints_membership.ENDPOINTS,
    *endpoints_reading.ENDPOINTS,
    *endpoints_relations.ENDPOINTS,
    *endpoints_directory.ENDPOINTS,
    *endpoints_upgrade.ENDPOINTS,
)
