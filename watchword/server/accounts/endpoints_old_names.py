"""The same doors under the names that they had before they were in the specification, for clients of those years.

COMPAT(clients of before v1.16 and v1.18, until: none of them is left). Nothing is decided here.
"""

from dataclasses import replace

from watchword.edge.endpoint import Endpoint
from watchword.server.accounts import endpoints_login, endpoints_profile

_UNSTABLE = "/_matrix/client/unstable/"
_OLD = (
    ("/_matrix/client/v3/profile/", _UNSTABLE + "uk.tcpip.msc4133/profile/", "proposals/4133"),
    ("/_matrix/client/v1/admin/", _UNSTABLE + "uk.timedout.msc4323/admin/", "proposals/4323"),
    ("/_matrix/client/v1/login/get_token", _UNSTABLE + "org.matrix.msc3882/login/token", "proposals/3882"),
)

ENDPOINTS: tuple[Endpoint, ...] = tuple(
    replace(row, path=row.path.replace(name, old_name), spec=spec)
    for row in (*endpoints_login.ENDPOINTS, *endpoints_profile.ENDPOINTS)
    for name, old_name, spec in _OLD
    if row.path.startswith(name)
)
