"""The doors of rendezvous, in both generations. Who may make a session: anybody who is logged in."""

from dataclasses import dataclass
from email.utils import formatdate

from watchword.base import limits
from watchword.base.errors import BadRequest, Conflict, Forbidden
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.rendezvous.sessions import RendezvousSessions, Session

_TEXT_PATH = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"
_JSON_PATH = "/_matrix/client/unstable/io.element.msc4388/rendezvous"


@dataclass(frozen=True)
class RendezvousDoors:
    """open_to_all: whether somebody who is not logged in may make a session. base_url: where clients reach the server."""

    sessions: RendezvousSessions
    base_url: str
    open_to_all: bool


# 2025: JSON with a sequence token


async def discover(_request: Request, requester: Requester | None, doors: RendezvousDoors) -> Reply:
    """GET rendezvous: whether the caller may make a session."""
    return Reply.json({"create_available": _may_make(requester, doors)})


async def make(request: Request, requester: Requester | None, doors: RendezvousDoors) -> Reply:
    """POST rendezvous."""
    _check_may_make(requester, doors)
    session = doors.sessions.make(_data(request), "application/json", _maker(request, requester))
    return Reply.json({"id": session.session_id, **_revision(session), "expires_in_ms": doors.sessions.left_ms(session)})


async def look(request: Request, _requester: None, doors: RendezvousDoors) -> Reply:
    """GET rendezvous/{id}."""
    _refuse_navigation(request)
    session = doors.sessions.get(request.param("rendezvousId", str))
    found = {"data": session.data.decode(errors="replace"), "expires_in_ms": doors.sessions.left_ms(session)}
    return Reply.json({**found, **_revision(session)})


async def send(request: Request, _requester: None, doors: RendezvousDoors) -> Reply:
    """PUT rendezvous/{id}/{txnId}; without a transaction ID from clients that began before there was one."""
    session_id, token = request.param("rendezvousId", str), request.field("sequence_token", str)
    data = _data(request)
    if "txnId" not in request.params:
        return Reply.json(_revision(doors.sessions.write(session_id, token, data, "application/json")))
    txn_id = request.params["txnId"]
    if len(txn_id) > limits.identifier_bytes_max:
        raise BadRequest("M_INVALID_PARAM", "The transaction ID is too long.")
    return Reply.json({"sequence_token": doors.sessions.write_once(session_id, txn_id, token, data)})


async def end(request: Request, _requester: None, doors: RendezvousDoors) -> Reply:
    """DELETE rendezvous/{id}."""
    doors.sessions.delete(request.param("rendezvousId", str))
    return Reply.EMPTY


def _data(request: Request) -> bytes:
    try:
        return request.field("data", str).encode()
    except UnicodeEncodeError as error:
        raise BadRequest("M_BAD_JSON", "data must be Unicode text.") from error


def _revision(session: Session) -> dict[str, str]:
    return {"sequence_token": session.sequence_token}


# 2024: text with an ETag


async def make_text(request: Request, requester: Requester | None, doors: RendezvousDoors) -> Reply:
    """POST rendezvous with a text."""
    _check_may_make(requester, doors)
    session = doors.sessions.make(await _text(request), _text_type(request), _maker(request, requester))
    url = f"{doors.base_url}{_TEXT_PATH}/{session.session_id}"
    return Reply.json({"url": url}, 201, _text_headers(session))


async def look_at_text(request: Request, _requester: None, doors: RendezvousDoors) -> Reply:
    """GET a text; 304 if the caller has this revision."""
    _refuse_navigation(request)
    session = doors.sessions.get(request.param("rendezvousId", str))
    headers = _text_headers(session)
    if request.headers.get("if-none-match") == headers["etag"]:
        return Reply(304, b"", headers)
    return Reply(200, session.data, {**headers, "content-type": session.content_type})


async def send_text(request: Request, _requester: None, doors: RendezvousDoors) -> Reply:
    """PUT a text in place of the revision that If-Match names."""
    session_id, seen = request.param("rendezvousId", str), request.headers.get("if-match")
    if seen is None:
        raise BadRequest("M_MISSING_PARAM", "If-Match is missing.")
    try:
        session = doors.sessions.write(session_id, seen.strip('"'), await _text(request), _text_type(request))
    except Conflict as refusal:
        current = _text_headers(doors.sessions.get(session_id))
        # COMPAT(clients of the 2024 form, until: none of them is left): they read their own code for this.
        body = {"errcode": "M_UNKNOWN", "org.matrix.msc4108.errcode": "M_CONCURRENT_WRITE", "error": refusal.text}
        return Reply.json(body, 412, current)
    return Reply(202, b"", _text_headers(session))


async def end_text(request: Request, _requester: None, doors: RendezvousDoors) -> Reply:
    """DELETE a text."""
    doors.sessions.delete(request.param("rendezvousId", str))
    return Reply(204, b"", {})


async def _text(request: Request) -> bytes:
    return b"".join([piece async for piece in request.stream()])


def _text_type(request: Request) -> str:
    # Never anything that a browser would run.
    declared = request.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if declared != "text/plain":
        raise BadRequest("M_INVALID_PARAM", "Only text/plain may be left here.")
    return declared


def _text_headers(session: Session) -> dict[str, str]:
    return {
        "etag": f'"{session.sequence_token}"',
        "last-modified": formatdate(session.changed_ts / 1000, usegmt=True),
        "expires": formatdate(session.expires_ts / 1000, usegmt=True),
        "cache-control": "no-store, no-transform",
        "pragma": "no-cache",
        "x-content-type-options": "nosniff",
    }


# Both


def _may_make(requester: Requester | None, doors: RendezvousDoors) -> bool:
    return doors.open_to_all or (requester is not None and not requester.is_guest)


def _check_may_make(requester: Requester | None, doors: RendezvousDoors) -> None:
    if not _may_make(requester, doors):
        raise Forbidden("Only somebody who is logged in may begin a rendezvous here.")


def _maker(request: Request, requester: Requester | None) -> str:
    return request.client_network if requester is None else requester.user_id


def _refuse_navigation(request: Request) -> None:
    # Nobody may be sent here by a link: strangers must not publish pages on this server's name.
    if request.headers.get("sec-fetch-mode") == "navigate" or request.headers.get("sec-fetch-dest") == "document":
        raise Forbidden("This is for clients, not for browsing.")


_JSON_SPEC = "proposals/4388"
_TEXT_SPEC = "proposals/4108"
_BODY = limits.rendezvous_data_bytes_max * 7

ENDPOINTS = (
    Endpoint("GET", _JSON_PATH, discover, _JSON_SPEC, auth=Auth.OPTIONAL, guests=True),
    Endpoint(
        "POST",
        _JSON_PATH,
        make,
        _JSON_SPEC,
        auth=Auth.OPTIONAL,
        rate=Rate.WRITE,
        body=Body.JSON,
        body_bytes_max=_BODY,
        guests=True,
    ),
    Endpoint("GET", _JSON_PATH + "/{rendezvousId}", look, _JSON_SPEC, auth=Auth.NONE),
    Endpoint(
        "PUT",
        _JSON_PATH + "/{rendezvousId}",
        send,
        _JSON_SPEC,
        auth=Auth.NONE,
        rate=Rate.WRITE,
        body=Body.JSON,
        body_bytes_max=_BODY,
    ),
    Endpoint(
        "PUT",
        _JSON_PATH + "/{rendezvousId}/{txnId}",
        send,
        _JSON_SPEC,
        auth=Auth.NONE,
        rate=Rate.WRITE,
        body=Body.JSON,
        body_bytes_max=_BODY,
    ),
    Endpoint("DELETE", _JSON_PATH + "/{rendezvousId}", end, _JSON_SPEC, auth=Auth.NONE, rate=Rate.WRITE),
    Endpoint(
        "POST",
        _TEXT_PATH,
        make_text,
        _TEXT_SPEC,
        auth=Auth.OPTIONAL,
        rate=Rate.WRITE,
        body=Body.STREAM,
        body_bytes_max=limits.rendezvous_data_bytes_max,
        guests=True,
    ),
    Endpoint("GET", _TEXT_PATH + "/{rendezvousId}", look_at_text, _TEXT_SPEC, auth=Auth.NONE),
    Endpoint(
        "PUT",
        _TEXT_PATH + "/{rendezvousId}",
        send_text,
        _TEXT_SPEC,
        auth=Auth.NONE,
        rate=Rate.WRITE,
        body=Body.STREAM,
        body_bytes_max=limits.rendezvous_data_bytes_max,
    ),
    Endpoint("DELETE", _TEXT_PATH + "/{rendezvousId}", end_text, _TEXT_SPEC, auth=Auth.NONE, rate=Rate.WRITE),
)
