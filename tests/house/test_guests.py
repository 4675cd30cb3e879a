"""Guests may do what the specification lets them do, and nothing else.

Spec: client-server-api#guest-access
"""

from tests.house.operations import blanked, served, specified
from watchword.edge.endpoint import Auth

_V3 = "/_matrix/client/v3"
_ROOM = f"{_V3}/rooms/{{}}"

# The operations that the specification allows. It says so in prose; this is the list, with parameters blanked.
_ALLOWED = {
    ("GET", "/_matrix/client/v1/media/download/{}/{}"),
    ("GET", "/_matrix/client/v1/media/download/{}/{}/{}"),
    ("GET", "/_matrix/client/v1/media/thumbnail/{}/{}"),
    ("GET", f"{_V3}/devices"),
    ("GET", f"{_V3}/devices/{{}}"),
    ("PUT", f"{_V3}/devices/{{}}"),
    ("GET", f"{_ROOM}/context/{{}}"),
    ("POST", f"{_ROOM}/join"),
    ("POST", f"{_V3}/keys/upload"),
    ("POST", f"{_V3}/keys/query"),
    ("POST", f"{_V3}/keys/claim"),
    ("POST", f"{_ROOM}/leave"),
    ("GET", f"{_ROOM}/messages"),
    ("GET", f"{_V3}/events"),
    ("GET", f"{_ROOM}/initialSync"),
    ("PUT", f"{_ROOM}/send/{{}}/{{}}"),
    ("PUT", f"{_ROOM}/state/{{}}/{{}}"),
    ("GET", f"{_ROOM}/state/{{}}/{{}}"),
    ("GET", f"{_ROOM}/event/{{}}"),
    ("GET", f"{_ROOM}/state"),
    ("GET", f"{_ROOM}/members"),
    ("GET", f"{_V3}/sync"),
    ("PUT", f"{_V3}/sendToDevice/{{}}/{{}}"),
    ("GET", f"{_V3}/account/whoami"),
    # The display name alone; the door sees to that.
    ("PUT", f"{_V3}/profile/{{}}/{{}}"),
    ("DELETE", f"{_V3}/profile/{{}}/{{}}"),
}
# What guests may do besides, each with its reason.
_BESIDES = {
    ("GET", f"{_V3}/capabilities"),  # tells a guest that he may do little
    ("POST", f"{_V3}/logout"),  # whoever got a token may give it back
    ("POST", f"{_V3}/logout/all"),
    ("GET", f"{_ROOM}/state/{{}}"),  # other spellings of what is allowed
    ("GET", f"{_ROOM}/state/{{}}/"),
    ("PUT", f"{_ROOM}/state/{{}}"),
    ("PUT", f"{_ROOM}/state/{{}}/"),
    ("POST", f"{_V3}/keys/upload/{{}}"),
    ("POST", f"{_V3}/join/{{}}"),  # clients know no other way to join
    ("POST", "/_matrix/client/v4/sync"),  # another form of /sync
    ("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"),
    # "Guest access to the endpoints is allowed", so that guests can be in calls.
    *(("POST", f"/_matrix/client/{form}/rtc/livekit/get_token") for form in ("v1", "unstable/io.element.msc4195")),
    # "All delayed event related endpoints are available to guest accounts."
    *(("PUT", f"/_matrix/client/{form}/rooms/{{}}/delayed_event/{{}}/{{}}") for form in ("v3", "unstable/org.matrix.msc4140")),
    *(("GET", f"/_matrix/client/{form}/delayed_events") for form in ("v1", "unstable/org.matrix.msc4140")),
    *(("GET", f"/_matrix/client/{form}/delayed_events/{{}}") for form in ("v1", "unstable/org.matrix.msc4140")),
    ("GET", "/_matrix/client/unstable/org.matrix.msc3916/media/download/{}/{}"),  # older names of what is allowed
    ("GET", "/_matrix/client/unstable/org.matrix.msc3916/media/download/{}/{}/{}"),
    ("PUT", "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{}/{}"),
    ("DELETE", "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{}/{}"),
    ("GET", "/_matrix/client/unstable/org.matrix.msc3916/media/thumbnail/{}/{}"),
}
# Where no token is needed a guest may leave his out, so there is nothing to enforce.
_ENFORCED = frozenset({Auth.CLIENT, Auth.CLIENT_LOCKED})


def test_the_list_names_operations_of_the_specification() -> None:
    assert specified().keys() >= _ALLOWED
    assert len(_ALLOWED) == 26


def test_guests_may_do_what_is_allowed_and_nothing_else() -> None:
    wrong = {
        f"{row.method} {row.path}: guests={row.guests}"
        for _, row in served()
        if row.auth in _ENFORCED and row.guests is not ((row.method, blanked(row.path)) in _ALLOWED | _BESIDES)
    }
    assert not wrong
