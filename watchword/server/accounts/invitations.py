"""Invitations: registration tokens that say how often, until when, by whom, and into which rooms.

A token is shown once; its SHA-256 is kept. Registrations under way hold a reservation in memory, like the interactive
sessions that they belong to: a restart forgets both alike. The last word on the number of uses has the transaction that
makes the account.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Conflict
from watchword.server.accounts import tables
from watchword.server.accounts.commands import CreateInvitation, Invitation
from watchword.server.accounts.decide import invitation_is_open, invitation_refusal, is_registration_token
from watchword.server.accounts.tokens import token_hash
from watchword.storage import Also, Database, Tx

_DIGITS_MAX = 15


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation with its secret; the only time that it can be seen."""

    invitation: Invitation
    token: str


def invitation_link(public_base_url: str, token: str) -> str:
    """The link that a newcomer opens: the page where he makes an account.

    The secret stands in the fragment, which browsers do not send to servers, nor proxies write into their logs.
    """
    return f"{public_base_url.rstrip('/')}/_watchword/register#token={token}"


class Invitations:
    """Makes, lists, checks and revokes invitations."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._reservations: dict[int, dict[str, int]] = {}

    async def create(self, command: CreateInvitation, also: Also | None = None) -> NewInvitation:
        """Make one. Raises BadRequest, or Conflict if the wished token exists."""
        refused = invitation_refusal(command.uses_allowed, command.label, command.invite_to, command.token)
        if refused is not None:
            raise refused.error()
        token = command.token or self._entropy.token(24)
        made = Invitation(
            invitation_id=0,
            uses_allowed=command.uses_allowed,
            uses_completed=0,
            created_ts=self._clock.now_ms(),
            expires_ts=command.expires_ts,
            revoked_ts=None,
            created_by=command.created_by,
            label=command.label,
            invite_to=tuple(command.invite_to),
            grants_admin=command.grants_admin,
        )
        async with self._database.write() as tx:
            invitation_id = await tables.insert_invitation(tx, token_hash(token), made)
            if invitation_id is None:
                raise Conflict("M_INVALID_PARAM", "This registration token exists already.")
            if also is not None:
                await also(tx)
        return NewInvitation(replace(made, invitation_id=invitation_id), token)

    async def list(self, limit: int = limits.invitations_page_max) -> Sequence[Invitation]:
        """The newest invitations, without their secrets."""
        async with self._database.read() as tx:
            found = await tables.invitations(tx, min(limit, limits.invitations_page_max))
        return [self._with_pending(invitation) for invitation in found]

    async def one(self, name: str) -> Invitation | None:
        """An invitation by its token, or by `~` and its number: what is shown of it, as the token is not kept."""
        number = name.removeprefix("~")
        async with self._database.read() as tx:
            found = await tables.invitation_by_hash(tx, token_hash(name))
            if found is None and name != number and number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX:
                found = await tables.invitation(tx, int(number))
        return None if found is None else self._with_pending(found)

    async def revoke(self, invitation_id: int, also: Also | None = None) -> bool:
        """End an invitation; False if there is none, or it was revoked before."""
        async with self._database.write() as tx:
            revoked = await tables.revoke_invitation(tx, invitation_id, self._clock.now_ms())
            if revoked and also is not None:
                await also(tx)
        return revoked

    async def change(
        self, invitation_id: int, *, uses_allowed: int | None, expires_ts: int | None, also: Also | None = None
    ) -> None:
        """Say anew how often and until when an invitation is good. Raises BadRequest."""
        refused = invitation_refusal(uses_allowed, "", (), None)
        if refused is not None:
            raise refused.error()
        async with self._database.write() as tx:
            await tables.change_invitation(tx, invitation_id, uses_allowed, expires_ts)
            if also is not None:
                await also(tx)

    async def is_valid(self, token: str) -> bool:
        """Whether a newcomer could begin with this token now."""
        return await self._open(token) is not None

    async def reserve(self, token: str, session_id: str) -> int | None:
        """Hold one use for an interactive session; the invitation's number, or None if it cannot be used."""
        found = await self._open(token)
        if found is None:
            return None
        held = self._reservations.setdefault(found.invitation_id, {})
        held[session_id] = self._clock.monotonic_ms() + limits.uia_session_ms
        return found.invitation_id

    def release(self, invitation_id: int, session_id: str) -> None:
        """Give a held use back. Harmless if it is not held."""
        held = self._reservations.get(invitation_id)
        if held is not None and held.pop(session_id, None) is not None and not held:
            del self._reservations[invitation_id]

    async def use(self, tx: Tx, invitation_id: int) -> Invitation | None:
        """Count one use, in the transaction that makes the account; None if it may not be used any more."""
        found = await tables.invitation(tx, invitation_id)
        if found is None or not invitation_is_open(found, self._clock.now_ms()):
            return None
        await tables.use_invitation(tx, invitation_id)
        return found

    async def _open(self, token: str) -> Invitation | None:
        if not is_registration_token(token):
            return None
        async with self._database.read() as tx:
            found = await tables.invitation_by_hash(tx, token_hash(token))
        if found is None:
            return None
        found = self._with_pending(found)
        return found if invitation_is_open(found, self._clock.now_ms()) else None

    def _with_pending(self, invitation: Invitation) -> Invitation:
        held = self._reservations.get(invitation.invitation_id)
        if not held:
            return invitation
        now_ms = self._clock.monotonic_ms()
        for session_id in [session_id for session_id, until_ms in held.items() if until_ms <= now_ms]:
            self.release(invitation.invitation_id, session_id)
        return replace(invitation, uses_pending=len(held))
