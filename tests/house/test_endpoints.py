"""Every row of a table of endpoints names an operation that exists, and its place in the specification."""

import re

import pytest

from tests.house.operations import PAGES, Operation, asked_of_others, blanked, served, specified
from tests.house.source import ROOT, docstrings, modules
from watchword.edge.endpoint import Endpoint

# What we serve although the specification has no such operation, each with its reason.
_BEYOND = {
    ("GET", "/health"),  # for supervisors
    ("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"),  # MSC4186, the form in use
    ("POST", "/_matrix/client/v4/sync"),  # MSC4186, accepted
    ("GET", "/_watchword/metrics"),  # for Prometheus
    ("GET", "/_synapse/admin/v1/register"),  # provisioning scripts use it
    ("POST", "/_synapse/admin/v1/register"),
    ("GET", "/_matrix/client/v3/auth/{type}/fallback/web"),  # described in prose only
    ("POST", "/_matrix/client/v3/auth/{type}/fallback/web"),
    ("GET", "/_watchword/client/v1/3pid/submit_token"),  # where mails lead, and what `submit_url` says: ours to choose
    ("POST", "/_watchword/client/v1/3pid/submit_token"),
    ("GET", "/_watchword/client/v1/push/unsubscribe"),  # where digests by mail lead; RFC 8058 posts there
    ("POST", "/_watchword/client/v1/push/unsubscribe"),
    ("GET", "/_matrix/client/v3/user/{userId}/account_data/m.push_rules"),  # one type of many, which push keeps
    ("DELETE", "/_watchword/client/v1/media/{mediaId}"),  # whoever uploaded a file may delete it
    ("POST", "/_matrix/client/unstable/keys/device_signing/upload"),  # older clients know no other
    ("POST", "/_matrix/client/v3/keys/upload/{deviceId}"),  # so does Element classic on iOS of these two
    ("POST", "/_matrix/client/v3/rooms/{roomId}/redact/{eventId}"),
    ("GET", "/_matrix/client/v3/rooms/{roomId}/state/{eventType}"),  # an empty state key may be left out
    ("PUT", "/_matrix/client/v3/rooms/{roomId}/state/{eventType}"),
    ("GET", "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/"),
    ("PUT", "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/"),
    ("GET", "/.well-known/matrix/server"),  # described in prose only
    ("GET", "/.well-known/matrix/client"),
    ("GET", "/.well-known/matrix/support"),
    ("GET", "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata"),  # clients of 2023 to 2025
    ("GET", "/_matrix/client/unstable/org.matrix.msc2965/auth_issuer"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),  # RFC 8414
    # Paths that the metadata of OAuth names, and our pages.
    *(("POST", f"/_watchword/oauth/{name}") for name in ("register", "token", "revoke", "device", "authorize")),
    ("GET", "/_watchword/oauth/authorize"),
    ("GET", "/_watchword/pages.css"),
    *(
        (method, f"/_watchword/{name}")
        for method in ("GET", "POST")
        for name in ("sign-in", "sign-out", "register", "device", "account", "account/device", "account/device/sign-out")
    ),
    ("GET", "/_watchword/account/devices"),
    ("GET", "/_watchword/upstream/start/{providerId}"),
    ("GET", "/_watchword/upstream/callback"),
    ("GET", "/_matrix/client/v3/auth/m.login.sso/fallback/web"),
    *((method, f"/_watchword/{name}") for method in ("GET", "POST") for name in ("upstream/finish", "sso", "confirm")),
    *(
        (method, f"/_watchword/account/{name}")
        for method in ("GET", "POST")
        for name in ("password", "deactivate", "reset-identity")
    ),
}
# Whole families of ours: what administrators do, under our own prefix and under the names that consoles know.
_BEYOND_PREFIXES = ("/_watchword/client/v1/admin/", "/_synapse/admin/")
# Of what clients use beyond the specification, the proposal that defines it: `spec="proposals/4186"`.
_PROPOSAL = re.compile(r"proposals/\d{4}")
_OPERATION = re.compile(r"\b((?:[a-z]+-)+api#(?:get|put|post|delete|options|head|patch)_[a-z0-9_.-]+)")
_PAGE = re.compile(r"^[ ]*Spec: (?!none)(?P<page>[a-z0-9/-]+)", re.MULTILINE)

_ROWS = list(served())


def _operation(row: Endpoint) -> Operation | None:
    return specified().get((row.method, blanked(row.path)))


def _name(row: object) -> str:
    return f"{row.method} {row.path}" if isinstance(row, Endpoint) else str(row)


@pytest.mark.parametrize(("module", "row"), _ROWS, ids=_name)
def test_an_endpoint_names_an_operation_of_the_specification(module: str, row: Endpoint) -> None:
    if _PROPOSAL.fullmatch(row.spec):
        assert _operation(row) is None, "the specification has this operation: name it"
        return
    is_beyond = (row.method, row.path) in _BEYOND or row.path.startswith(_BEYOND_PREFIXES)
    assert row.spec.partition("#")[0] in PAGES or is_beyond, row.spec
    if is_beyond:
        return
    operation = _operation(row)
    assert operation is not None, "no such operation; if it is ours alone, add it to _BEYOND with its reason"
    if _OPERATION.fullmatch(row.spec):
        assert row.spec == operation.anchor


def test_no_operation_is_served_twice() -> None:
    keys = [(row.method, blanked(row.path)) for _, row in _ROWS]
    assert not {key for key in keys if keys.count(key) > 1}


def test_docstrings_name_operations_that_exist() -> None:
    anchors = {operation.anchor for operation in (*specified().values(), *asked_of_others())}
    wrong = {
        f"{path.relative_to(ROOT)}: {what}: {anchor}"
        for path in modules()
        for what, text in docstrings(path)
        for anchor in _OPERATION.findall(text)
        if anchor not in anchors
    }
    assert not wrong


def test_docstrings_name_pages_that_exist() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {what}: {page}"
        for path in modules()
        for what, text in docstrings(path)
        for page in _PAGE.findall(text)
        if page not in PAGES and not re.fullmatch(r"rooms/v\d+|proposals/\d{4}", page)
    }
    assert not wrong
