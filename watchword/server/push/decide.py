"""The rules of push that need no world: what receipts mean, which pushers are good, what a gateway is told.

Spec: client-server-api#push-notifications, push-gateway-api#homeserver-behaviour
"""

from collections.abc import Iterable
from typing import Protocol

from watchword.server.push.tally import ReadUpTo


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
