"""What any answer to any request must be, whoever asks and whatever for.

A success is one that the specification documents, and has its shape. A refusal carries the standard error object with an
error code that is defined, and a status that fits the operation. Nothing fails inside. Nobody is told another's secret.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.contract.operations.world import Cast, Session
from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.shapes import Operation
from tests.end_to_end.harness.wire import Answer

# Error codes that the specification defines, for clients and servers.
_CODES = """
    M_APPSERVICE_LOGIN_UNSUPPORTED M_BAD_ALIAS M_BAD_JSON M_BAD_STATE M_BAD_STATUS M_CANNOT_LEAVE_SERVER_NOTICE_ROOM
    M_CANNOT_OVERWRITE_MEDIA M_CAPTCHA_INVALID M_CAPTCHA_NEEDED M_CONNECTION_FAILED M_CONNECTION_TIMEOUT
    M_DUPLICATE_ANNOTATION M_EXCLUSIVE M_FORBIDDEN M_GUEST_ACCESS_FORBIDDEN M_INCOMPATIBLE_ROOM_VERSION M_INVALID_PARAM
    M_INVALID_ROOM_STATE M_INVALID_SIGNATURE M_INVALID_USERNAME M_INVITE_BLOCKED M_KEY_TOO_LARGE M_LIMIT_EXCEEDED
    M_MISSING_PARAM M_MISSING_TOKEN M_NOT_FOUND M_NOT_JSON M_NOT_YET_UPLOADED M_PROFILE_TOO_LARGE M_RESOURCE_LIMIT_EXCEEDED
    M_ROOM_IN_USE M_SERVER_NOT_TRUSTED M_THREEPID_AUTH_FAILED M_THREEPID_DENIED M_THREEPID_IN_USE
    M_THREEPID_MEDIUM_NOT_SUPPORTED M_THREEPID_NOT_FOUND M_TOO_LARGE M_UNABLE_TO_AUTHORISE_JOIN M_UNABLE_TO_GRANT_JOIN
    M_UNAUTHORIZED M_UNKNOWN M_UNKNOWN_DEVICE M_UNKNOWN_POS M_UNKNOWN_TOKEN M_UNRECOGNIZED M_UNSUPPORTED_ROOM_VERSION
    M_URL_NOT_SET M_USER_DEACTIVATED M_USER_IN_USE M_USER_LIMIT_EXCEEDED M_USER_LOCKED M_USER_SUSPENDED M_WEAK_PASSWORD
    M_WRONG_ROOM_KEYS_VERSION
"""
_DEFINED = frozenset(_CODES.split())
# A proposal's error code carries its own name in front.
_PROPOSED = re.compile(r"(?:[A-Z][A-Z0-9]*\.)+(?:MSC\d+[_.])?[A-Z0-9_]+")
_LARGE_BYTES = 60_000

# Whoever asks these is not who he was, or where he was, once they have succeeded.
ENDINGS = re.compile(
    r"/(logout|logout/all|account/deactivate|account/password|delete_devices|devices/\{\}|leave|join|join/\{\}|forget|ban|kick"
    r"|unban|admin/\w+/\{\}|upgrade|createRoom|state/\{\}/\{\}|v3/login|refresh)$"
)


# The last segment is the name of what is asked; there are names that no server knows.
_KINDS = re.compile(r"/query/\{queryType\}$")


@dataclass(frozen=True)
class Asked:
    """A request as it went out."""

    operation: Operation
    me: Session
    target: str
    body: bytes

    def __str__(self) -> str:
        return f"{self.me.role}: {self.operation.method} {self.target} {self.body[:600]!r}"


def needs_token(operation: Operation) -> bool:
    """Whether an operation is for those who have a token."""
    security = operation.described.get("security", [])
    return bool(security) and {} not in security


def complaints(asked: Asked, answer: Answer, cast: Cast) -> Iterator[str]:
    """What is wrong with an answer."""
    yield from (f"tells {secret!r}" for secret in cast.told(asked.me.role, answer.body))
    if answer.status in (500, 501, 503) or answer.status < 200:
        yield f"status {answer.status}"
    elif answer.status < 400:
        yield from _success(asked.operation, answer)
    else:
        yield from _refusal(asked, answer)


def _success(operation: Operation, answer: Answer) -> Iterator[str]:
    documented = operation.described["responses"]
    if str(answer.status) not in documented:
        yield f"status {answer.status} is not documented"
        return
    if answer.status != 200:
        return
    if not shapes.has_shape(operation, answer.status):
        return
    if answer.headers.get("content-type") != "application/json":
        yield f"content type {answer.headers.get('content-type')}"
        return
    yield from shapes.complaints_of(operation, answer.status, answer.body)


def _refusal(asked: Asked, answer: Answer) -> Iterator[str]:
    if "default" not in asked.operation.described["responses"]:
        # A page for people.
        return
    try:
        body = json.loads(answer.body)
    except ValueError:
        yield f"a refusal that is not JSON: {answer.body[:100]!r}"
        return
    if answer.headers.get("content-type") != "application/json" or not isinstance(body, dict):
        yield f"a refusal that is no JSON object: {answer.headers.get('content-type')}"
        return
    if answer.status == 401 and "flows" in body:
        yield from _challenge(asked.operation, body)
        return
    errcode, error = body.get("errcode"), body.get("error")
    if not isinstance(error, str) or not error:
        yield "a refusal without a sentence"
    if not isinstance(errcode, str) or not (errcode in _DEFINED or _PROPOSED.fullmatch(errcode)):
        yield f"error code {errcode!r}"
        return
    yield from _status(asked, answer, errcode)


def _challenge(operation: Operation, body: dict[str, Any]) -> Iterator[str]:
    if not isinstance(body.get("session"), str) or not isinstance(body["flows"], list):
        yield "an incomplete challenge"
    if "auth" not in str(operation.described.get("requestBody", {})):
        yield "asks for interactive authentication, which this operation does not have"


def _status(asked: Asked, answer: Answer, errcode: str) -> Iterator[str]:
    status, documented, me = answer.status, asked.operation.described["responses"], asked.me
    if status == 401 and not _may_be_401(asked, errcode):
        yield f"401 {errcode} although the token is good"
    if status == 404 and errcode == "M_UNRECOGNIZED" and "404" not in documented and not _KINDS.search(asked.operation.path):
        yield "an operation that is served says that its path is not known"
    if status == 405 and "405" not in documented:
        yield "status 405 although the method is right"
    if status == 413 and len(asked.body) < _LARGE_BYTES:
        yield "too large, although it is not"
    if status == 429:
        yield "a rate limit, although there is none"
    if status in (402, 406, 407, 410, 411, 412, 415, 416, 417) or 417 < status < 429 or 429 < status < 500 or status > 504:
        yield f"status {status}"
    if errcode == "M_UNKNOWN" and status == 400 and me.role not in ("unsigned", "forged") and "400" not in documented:
        yield "400 M_UNKNOWN says nothing"


def _may_be_401(asked: Asked, errcode: str) -> bool:
    role = asked.me.role
    if errcode == "M_UNAUTHORIZED":
        return asked.operation.document == "server-server"
    if errcode == "M_MISSING_TOKEN":
        return role == "nobody" or "openid" in asked.target
    if errcode == "M_USER_LOCKED":
        return role == "locked"
    return errcode == "M_UNKNOWN_TOKEN" and (role == "unknown" or "/refresh" in asked.target or "openid" in asked.target)
