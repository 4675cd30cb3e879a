"""Proving addresses: a message with a token goes to the address, and whoever shows the token to us has read it.

Theory of operation. A client asks for a proof (`ask`) with a secret of its own and gets the session's name; the same
request again gets the same name, and another message only if its attempt grew. The person opens the link of the mail
(`submit` from the page), or types the code of the text message into the client (`submit` with the client's secret).
The client then shows name and secret wherever the proof counts (`proof`), once: what it paid for is spent (`spend`).

Whether somebody here has the address is told to the address alone. Where it is taken, or unknown, its owner gets a
message that says so, and the client a session like any other, which never succeeds.

Spec: client-server-api#adding-account-administrative-contact-information, client-server-api#password-reset
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Rate
from watchword.edge.rate_limits import RateLimiter
from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids import tables
from watchword.server.accounts.threepids.commands import (
    EMAIL,
    AskProof,
    Credentials,
    Proof,
    Purpose,
    Threepid,
    ThreepidSettings,
    Validation,
)
from watchword.server.accounts.threepids.decide import address_refusal, next_link_refusal
from watchword.server.accounts.threepids.identity import IdentityServers
from watchword.server.accounts.threepids.messages import Message, Messages
from watchword.server.accounts.threepids.ports import Mailbox, TextMessages
from watchword.storage import Database, Tx

SUBMIT_PATH = "/_watchword/client/v1/3pid/submit_token"
_SID_BYTES = 18
_SWEPT_AT_ONCE = 200
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Couriers:
    """What carries messages. identity: also a sender of text messages, where the operator names no gateway."""

    mailbox: Mailbox | None
    texts: TextMessages | None
    identity: IdentityServers


@dataclass(frozen=True, slots=True)
class Asked:
    """The session, and where a client sends the code that its user was sent; None where the user opens a link."""

    sid: str
    submit_url: str | None


@dataclass(frozen=True)
class Proofs:
    """Asks for proofs, takes them, and tells whether one is good."""

    database: Database
    clock: Clock
    entropy: Entropy
    settings: ThreepidSettings
    public_base_url: str
    messages: Messages
    couriers: Couriers
    limiter: RateLimiter

    # Asking

    async def ask(self, wanted: AskProof) -> Asked:
        """Send a message to an address, unless this client had one sent with this attempt.

        Raises BadRequest M_THREEPID_MEDIUM_NOT_SUPPORTED or M_INVALID_PARAM, Forbidden M_THREEPID_DENIED, LimitExceeded,
        PeerError if the text message could not be sent.
        """
        self._check(wanted)
        now_ms = self.clock.now_ms()
        async with self.database.read() as tx:
            before = await tables.validation_asked(tx, wanted.purpose, wanted.threepid, _hash(wanted.client_secret))
            owner = await tables.owner(tx, wanted.threepid)
        if before is not None and before.expires_ts <= now_ms:
            before = None
        if before is None or (wanted.attempt > before.attempt and before.validated_ts is None):
            self.limiter.take(Rate.LOGIN, f"{wanted.threepid.medium}:{wanted.threepid.address}")
            before = await self._send(self._begun(wanted, owner) if before is None else replace(before, attempt=wanted.attempt))
        by_link = wanted.threepid.medium == EMAIL
        return Asked(before.sid, None if by_link else self.public_base_url + SUBMIT_PATH)

    def _check(self, wanted: AskProof) -> None:
        settings, threepid = self.settings, wanted.threepid
        if not settings.sends_to(threepid.medium):
            raise not_supported()
        refused = next_link_refusal(wanted.next_link)
        if refused is None and wanted.purpose is not Purpose.RESET:
            patterns = settings.email_allowed if threepid.medium == EMAIL else settings.msisdn_allowed
            refused = address_refusal(patterns, threepid.address)
        if refused is not None:
            raise refused.error()

    def _begun(self, wanted: AskProof, owner: UserId | None) -> Validation:
        now_ms = self.clock.now_ms()
        is_reset = wanted.purpose is Purpose.RESET
        life_ms = limits.threepid_proof_ms if wanted.threepid.medium == EMAIL else limits.threepid_code_proof_ms
        return Validation(
            sid=self.entropy.token(_SID_BYTES),
            purpose=wanted.purpose,
            threepid=wanted.threepid,
            secret_hash=_hash(wanted.client_secret),
            token_hashes=(),
            attempt=wanted.attempt,
            next_link=wanted.next_link,
            user_id=owner,
            is_decoy=(owner is None) if is_reset else (owner is not None),
            created_ts=now_ms,
            expires_ts=now_ms + (limits.threepid_reset_proof_ms if is_reset else life_ms),
        )

    async def _send(self, validation: Validation) -> Validation:
        if validation.threepid.medium == EMAIL:
            return await self._send_mail(validation)
        return await self._send_text(validation)

    async def _send_mail(self, validation: Validation) -> Validation:
        assert self.couriers.mailbox is not None
        message = _message(validation)
        token = self.entropy.token()
        query = urlencode({"sid": validation.sid, "token": token})
        mail = self.messages.mail(
            message,
            validation.threepid.address,
            link=f"{self.public_base_url}{SUBMIT_PATH}?{query}",
            hours=(validation.expires_ts - validation.created_ts) // _HOUR_MS,
        )
        validation = _with_token(validation, token)
        async with self.database.write() as tx:
            await self._sweep_and_save(tx, validation)
            # In the queue before the commit: a full queue must leave the attempt as it was.
            self.couriers.mailbox.submit(mail)
        return validation

    async def _send_text(self, validation: Validation) -> Validation:
        message, number = _message(validation), validation.threepid.address
        texts = self.couriers.texts
        if texts is None and not validation.is_decoy:
            secret = validation.remote_secret or self.entropy.token(_SID_BYTES)
            sid = await self.couriers.identity.request_code(number, secret, validation.attempt)
            validation = replace(validation, remote_sid=sid, remote_secret=secret)
        elif texts is not None:
            code = self.entropy.letters(limits.threepid_code_digits, "0123456789")
            await texts.send(number, self.messages.text(message, code=code))
            validation = _with_token(validation, code)
        async with self.database.write() as tx:
            await self._sweep_and_save(tx, replace(validation, failures=0))
        return validation

    async def _sweep_and_save(self, tx: Tx, validation: Validation) -> None:
        # A day longer than they are good for, so that somebody who comes late is told that he does.
        await tables.delete_expired(tx, self.clock.now_ms() - limits.threepid_proof_ms, _SWEPT_AT_ONCE)
        await tables.save_validation(tx, validation)

    # Showing the token

    async def shown(self, sid: str, token: str) -> Validation | None:
        """The session that a link of ours belongs to, if the link is good; for the page that asks whether to go on."""
        async with self.database.read() as tx:
            found = await tables.validation(tx, sid)
        if found is None or found.expires_ts <= self.clock.now_ms() or not _has_token(found, token):
            return None
        return found

    async def submit(self, sid: str, client_secret: str | None, token: str) -> Validation:
        """Take a token. client_secret: None if the token came by a link, which is too long to be guessed.

        Raises BadRequest M_INVALID_PARAM, M_SESSION_EXPIRED or M_TOKEN_INCORRECT.
        Spec: client-server-api#post_matrixclientv3account3pidemailrequesttoken
        """
        async with self.database.read() as tx:
            found = await tables.validation(tx, sid)
        if found is None or (client_secret is None and found.threepid.medium != EMAIL):
            raise BadRequest("M_INVALID_PARAM", "There is no such session.")
        if client_secret is not None and not hmac.compare_digest(found.secret_hash, _hash(client_secret)):
            raise BadRequest("M_INVALID_PARAM", "There is no such session.")
        if found.expires_ts <= self.clock.now_ms() or found.failures >= limits.threepid_failures_max:
            raise BadRequest("M_SESSION_EXPIRED", "This took too long, or too many codes were wrong. Begin again.")
        if not await self._is_right(found, token):
            async with self.database.write() as tx:
                await tables.count_failure(tx, sid)
            raise BadRequest("M_TOKEN_INCORRECT", "This code is not right.")
        async with self.database.write() as tx:
            await tables.set_validated(tx, sid, self.clock.now_ms())
        return found

    async def _is_right(self, found: Validation, token: str) -> bool:
        if found.remote_sid is None or found.remote_secret is None:
            return not found.is_decoy and _has_token(found, token)
        return await self.couriers.identity.submit_code(found.remote_sid, found.remote_secret, token)

    # Using the proof

    async def proof(self, purpose: Purpose, shown: Credentials, medium: str | None = None) -> Proof | None:
        """The address that a client proved for a purpose; None if it did not, or not yet. medium: of this kind only."""
        async with self.database.read() as tx:
            found = await tables.validation(tx, shown.sid)
        if found is None or found.validated_ts is None or found.is_decoy or found.expires_ts <= self.clock.now_ms():
            return None
        if found.purpose is not purpose or medium not in (None, found.threepid.medium):
            return None
        if not hmac.compare_digest(found.secret_hash, _hash(shown.client_secret)):
            return None
        return Proof(found.sid, found.threepid, found.validated_ts, found.user_id)

    async def owner(self, threepid: Threepid) -> UserId | None:
        """Whose address it is now."""
        async with self.database.read() as tx:
            return await tables.owner(tx, threepid)

    async def spend(self, proof: Proof) -> None:
        """A proof has served: it is good for nothing more, nor is any other of this address."""
        async with self.database.write() as tx:
            await tables.delete_validations_of(tx, proof.threepid)


def not_supported() -> BadRequest:
    """The answer where messages of this kind cannot be sent."""
    return BadRequest("M_THREEPID_MEDIUM_NOT_SUPPORTED", "This server does not use addresses of this kind.")


def _message(validation: Validation) -> Message:
    if validation.purpose is Purpose.RESET:
        return Message.UNKNOWN if validation.is_decoy else Message.RESET
    return Message.IN_USE if validation.is_decoy else Message.PROVE


def _with_token(validation: Validation, token: str) -> Validation:
    # Mails overtake each other: the links of those before stay good.
    hashes = [*validation.token_hashes, _hash(token)][-limits.threepid_tokens_remembered_max :]
    return replace(validation, token_hashes=[] if validation.is_decoy else hashes)


def _has_token(validation: Validation, token: str) -> bool:
    hashed = _hash(token)
    return any(hmac.compare_digest(known, hashed) for known in validation.token_hashes)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
