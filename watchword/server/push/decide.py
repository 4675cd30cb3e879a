"""The rules of push that need no world: what receipts mean, which pushers are good, what a gateway is told and how often.

Spec: client-server-api#push-notifications, push-gateway-api#homeserver-behaviour
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.push_rules import Actions
from watchword.server.push.commands import EMAIL, HTTP, DigestState, Pusher, PusherForm, PusherKey, Refused, Subject
from watchword.server.push.tally import ReadUpTo

NOTIFY_PATH = "/_matrix/push/v1/notify"
EVENT_ID_ONLY = "event_id_only"


class ReceiptSeen(Protocol):
    """A receipt of the user. thread_id '' is the unthreaded one; ordering is None while its event is not here."""

    @property
    def receipt_type(self) -> str: ...

    @property
    def thread_id(self) -> str: ...

    @property
    def ordering(self) -> int | None: ...


def read_up_to(receipts: Iterable[ReceiptSeen], joined: int) -> ReadUpTo:
    """Up to where a user has read: the more advanced of his public and his private receipts, never before he joined.

    Spec: client-server-api#receiving-notifications
    """
    everywhere, threads = joined, dict[str, int]()
    for receipt in receipts:
        if receipt.ordering is None or receipt.receipt_type not in ("m.read", "m.read.private"):
            continue
        if receipt.thread_id:
            threads[receipt.thread_id] = max(threads.get(receipt.thread_id, 0), receipt.ordering)
        else:
            everywhere = max(everywhere, receipt.ordering)
    return ReadUpTo(everywhere, {thread: ordering for thread, ordering in threads.items() if ordering > everywhere})


# Pushers


def key_refusal(key: PusherKey) -> Refused | None:
    """Whether a pusher may be called so."""
    if not key.app_id or len(key.app_id) > limits.pusher_app_id_characters_max:
        return Refused("M_INVALID_PARAM", "app_id must have 1 to 64 characters.")
    if not key.pushkey or len(key.pushkey.encode(errors="replace")) > limits.pushkey_bytes_max:
        return Refused("M_INVALID_PARAM", "pushkey must have 1 to 512 bytes.")
    return None


def form_refusal(form: PusherForm, *, plain_http: bool = False, mails: bool = False) -> Refused | None:
    """Whether a pusher is one that we can serve. plain_http: whether gateways may be without TLS (test set-ups).

    mails: whether there are pushers of the kind email; whose the address is, is another question.
    Spec: client-server-api#post_matrixclientv3pushersset
    """
    if form.kind not in ((HTTP, EMAIL) if mails else (HTTP,)):
        return Refused("M_INVALID_PARAM", "This server knows no pushers of this kind.")
    texts = (form.app_display_name, form.device_display_name, form.profile_tag, form.lang)
    if max(map(len, texts)) > limits.pusher_text_characters_max:
        return Refused("M_INVALID_PARAM", "A name of this pusher is too long.")
    if len(orjson.dumps(form.data)) > limits.pusher_data_bytes_max:
        return Refused("M_INVALID_PARAM", "The data of this pusher are too large.")
    if form.kind == EMAIL:
        return None
    if "url" not in form.data:
        return Refused("M_MISSING_PARAM", "data.url is missing.")
    url = form.data["url"]
    if not isinstance(url, str) or not _is_gateway(url, ("https", "http") if plain_http else ("https",)):
        return Refused("M_INVALID_PARAM", f"data.url must be an https URL with the path {NOTIFY_PATH}.")
    return None


def _is_gateway(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in schemes
        and bool(parts.hostname)
        and port != 0
        and parts.username is None
        and parts.path == NOTIFY_PATH
        and not parts.fragment
        and url.isprintable()
        and " " not in url
    )


# Notifications


def notification(pusher: Pusher, subject: Subject | None, actions: Actions, unread: int) -> dict[str, Any]:
    """The body of a request to a gateway. subject: None to tell only how many rooms are unread.

    Spec: push-gateway-api#homeserver-behaviour
    """
    data = {name: value for name, value in pusher.form.data.items() if name != "url"}
    device: dict[str, Any] = {
        "app_id": pusher.key.app_id,
        "pushkey": pusher.key.pushkey,
        "pushkey_ts": pusher.pushkey_ts // 1000,
        "data": data,
    }
    told: dict[str, Any] = {"counts": {"unread": unread} if unread else {}, "devices": [device]}
    if subject is None:
        return {"notification": told}
    told |= {"event_id": subject.event_id, "room_id": subject.room_id}
    if data.get("format") == EVENT_ID_ONLY:
        return {"notification": told}
    device["tweaks"] = dict(actions.tweaks)
    told |= {
        "type": subject.type,
        "sender": subject.sender,
        "content": subject.content,
        "prio": _priority(subject, actions),
    }
    optional = {
        "sender_display_name": subject.sender_display_name,
        "room_name": subject.room_name,
        "room_alias": subject.room_alias,
    }
    told |= {name: value for name, value in optional.items() if value}
    if subject.type == event_types.MEMBER:
        told["user_is_target"] = subject.user_is_target
    return {"notification": told}


def _priority(subject: Subject, actions: Actions) -> str:
    """What is encrypted may be loud, which only the device finds out."""
    return "high" if actions.highlight or actions.sound or subject.type == event_types.ENCRYPTED else "low"


def is_rejected(answer: Mapping[str, Any], pushkey: str) -> bool:
    """Whether a gateway says that it will never again reach a device."""
    rejected = answer.get("rejected")
    return isinstance(rejected, list) and pushkey in rejected


def is_final(status: int | None) -> bool:
    """Whether a gateway's refusal would be the same the next time."""
    return status is not None and 400 <= status < 500 and status not in (408, 429)


def wait_ms(failures: int, asked_ms: int | None, fraction: float) -> int:
    """How long to leave a gateway alone after so many failures in a row. asked_ms: what it asked for. fraction: chance."""
    doubled = min(limits.push_wait_ms_min << min(failures - 1, 24), limits.push_wait_ms_max)
    return max(int(doubled * (0.75 + 0.5 * fraction)), min(asked_ms or 0, limits.push_wait_ms_max))


# Digests by mail


def _gap_ms(mails: int, delay_ms: int) -> int:
    """How long to leave a user alone after so many mails that made him read nothing."""
    if not mails:
        return 0
    grown: int = delay_ms * limits.digest_gap_growth ** min(mails, limits.digest_gap_steps_max)
    return min(grown, max(delay_ms, limits.digest_gap_ms_max))


def with_news(state: DigestState, now_ms: int, delay_ms: int) -> DigestState:
    """There is something that the user has not read: mail it after a while, unless something waits already."""
    if state.due_ts:
        return state
    return replace(state, due_ts=max(now_ms + delay_ms, state.last_ts + _gap_ms(state.mails, delay_ms)))


def while_reading(state: DigestState, now_ms: int, delay_ms: int) -> DigestState:
    """The user reads: what he was mailed has had its effect, and what waits may yet be read by itself."""
    return replace(state, mails=0, due_ts=now_ms + delay_ms if state.due_ts else 0)


def mailed(state: DigestState, now_ms: int, position: int, delay_ms: int) -> DigestState:
    """A mail told of everything up to a position. What came since waits longer for the next."""
    mails = state.mails + 1
    due_ts = max(state.due_ts, now_ms + _gap_ms(mails, delay_ms)) if state.due_ts else 0
    return replace(state, due_ts=due_ts, last_ts=now_ms, mails=mails, told=max(state.told, position))
