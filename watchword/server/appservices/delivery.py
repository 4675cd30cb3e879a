"""Hands one application service what concerns it: follows the log after its cursor, one transaction at a time.

Theory of operation. The next stretch of the log becomes a transaction, which is stored together with the cursor behind it;
then it is sent, the same bytes under the same ID, until the service takes it; then it is dropped. So nothing is left out,
and nothing is told twice but under an ID that the service has seen. A service that does not answer is left alone twice as
long each time, and holds up nobody else. One that is gone for two weeks is owed nothing any more: the log cannot be kept
for it for ever.

Spec: application-service-api#pushing-events
"""

import logging
from dataclasses import dataclass
from urllib.parse import quote

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError
from watchword.edge.fetch import Outgoing
from watchword.server.appservices import tables
from watchword.server.appservices.commands import Transaction
from watchword.server.appservices.compose import Composer
from watchword.server.appservices.ports import Mailboxes, WayOut
from watchword.server.appservices.registration import Registration
from watchword.server.changes import Change
from watchword.storage import Database, Log, Position

logger = logging.getLogger(__name__)

CURSOR_PREFIX = "appservice:"
_PAGE = 200


@dataclass(frozen=True)
class Ground:
    """What every delivery stands on."""

    database: Database
    log: Log[Change]
    way_out: WayOut
    mail: Mailboxes
    clock: Clock
    entropy: Entropy


class Delivery:
    """One per application service with a URL. Run `run` as long as the server lives."""

    def __init__(self, registration: Registration, composer: Composer, ground: Ground) -> None:
        self._registration = registration
        self._composer = composer
        self._ground = ground
        self._name = CURSOR_PREFIX + registration.appservice_id
        self._failures = 0
        self._old_paths = False

    async def run(self) -> None:
        """Deliver for ever."""
        ground, appservice_id = self._ground, self._registration.appservice_id
        async with ground.database.read() as view:
            at = saved = await ground.log.cursor(view, self._name)
            under_way = await tables.pending(view, appservice_id)
        if at == 0:
            # It is new here: what was before it came is none of its business.
            at = saved = await self._save(ground.log.position)
        while True:
            if under_way is not None:
                if not await self._deliver(under_way):
                    at = saved = await self._save(ground.log.position)
                under_way = None
            batch = await ground.log.read(at, _PAGE)
            if not batch:
                await ground.log.wait(at)
                continue
            body, letters, at = await self._composer.compose(batch)
            if body is not None:
                async with ground.database.write() as tx:
                    under_way = await tables.begin(tx, appservice_id, body, letters, ground.clock.now_ms())
                    await ground.log.move_cursor(tx, self._name, at)
                saved = at
            elif at - saved >= limits.appservice_cursor_lag_max:
                saved = await self._save(at)

    async def _save(self, position: Position) -> Position:
        async with self._ground.database.write() as tx:
            await self._ground.log.move_cursor(tx, self._name, position)
        return position

    async def _deliver(self, transaction: Transaction) -> bool:
        """Send one transaction until it is taken; False if nobody can be expected to take it any more."""
        ground = self._ground
        given_up = False
        while not await self._is_taken(transaction):
            self._failures += 1
            if ground.clock.now_ms() - transaction.made_ts > limits.appservice_give_up_ms:
                logger.error("An application service was given up.", extra={"appservice_id": self._registration.appservice_id})
                given_up = True
                break
            doubled = min(limits.appservice_wait_ms_min << min(self._failures - 1, 24), limits.appservice_wait_ms_max)
            await ground.clock.sleep(int(doubled * (0.75 + 0.5 * ground.entropy.fraction())))
        self._failures = 0
        async with ground.database.write() as tx:
            await tables.taken(tx, self._registration.appservice_id)
        for letter in transaction.letters:
            await ground.mail.delete_to_device(letter.user_id, letter.device_id, letter.until)
        return not given_up

    async def _is_taken(self, transaction: Transaction) -> bool:
        try:
            status = await self._put(transaction)
            if status in (404, 405) and not self._old_paths:
                # "Application services … MUST also support the legacy paths": some know nothing else.
                self._old_paths = True
                status = await self._put(transaction)
                self._old_paths = 200 <= status < 300
        except PeerError as error:
            self._tell(error.reason)
            return False
        if 200 <= status < 300:
            return True
        self._tell(f"status {status}")
        return False

    def _tell(self, cause: str) -> None:
        # Once when it begins and then ever more seldom: a bridge that is down is no news every minute.
        if self._failures & (self._failures - 1) == 0:
            logger.warning(
                "An application service did not take a transaction.",
                extra={"appservice_id": self._registration.appservice_id, "cause": cause, "failures": self._failures + 1},
            )

    async def _put(self, transaction: Transaction) -> int:
        registration = self._registration
        path = f"/transactions/{transaction.txn_id}"
        if self._old_paths:
            path += f"?access_token={quote(registration.hs_token, safe='')}"
        else:
            path = "/_matrix/app/v1" + path
        answer = await self._ground.way_out.fetch(
            Outgoing(
                "PUT",
                f"{registration.url}{path}",
                {"content-type": "application/json", "authorization": f"Bearer {registration.hs_token}"},
                transaction.body,
                timeout_ms=limits.appservice_timeout_ms,
                bytes_max=limits.appservice_answer_bytes_max,
                peer=registration.appservice_id,
            )
        )
        return answer.status
