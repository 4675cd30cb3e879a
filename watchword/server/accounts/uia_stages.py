"""The stages of interactive authentication: what each asks for, and when it is passed.

Deliberately absent: sessions and the order of stages (`uia`), and pages (`endpoints_fallback`).

Spec: client-server-api#authentication-types
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.protocol.ids import UserId
from watchword.server.accounts.captcha import Captcha
from watchword.server.accounts.commands import Flows, Refused
from watchword.server.accounts.decide import (
    CAPTCHA,
    DUMMY,
    EMAIL_IDENTITY,
    MSISDN_IDENTITY,
    PASSWORD,
    REGISTRATION_TOKEN,
    SSO,
    TERMS,
)
from watchword.server.accounts.invitations import Invitations
from watchword.server.accounts.password_check import PasswordCheck
from watchword.server.accounts.threepids.commands import EMAIL, MSISDN, Proof, Purpose
from watchword.server.accounts.threepids.decide import credentials_in
from watchword.server.accounts.threepids.proofs import Proofs

REGISTER = "register"
NOT_YET = "M_UNAUTHORIZED"


@dataclass(frozen=True, slots=True)
class ProvedInBrowser:
    """Somebody signed in at our pages a short while ago and confirmed. No JSON of a client makes one."""

    user_id: UserId


@dataclass(slots=True)
class UiaSession:
    """One attempt to pass. user_id: whose proof is asked for, or who proved himself; None while nobody is known.

    proofs: of addresses, by medium.
    """

    session_id: str
    action: str
    meaning: bytes
    user_id: UserId | None
    flows: Flows
    expires_ms: int
    is_anonymous: bool
    params: Mapping[str, object] = field(default_factory=dict)
    completed: list[str] = field(default_factory=list)
    failures: int = 0
    invitation_id: int | None = None
    proofs: dict[str, Proof] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """What a client is told."""
        return {
            "flows": [{"stages": list(flow)} for flow in self.flows],
            "params": dict(self.params),
            "session": self.session_id,
            "completed": list(self.completed),
        }

    @property
    def purpose(self) -> Purpose:
        """What an address is proved for in this session."""
        return Purpose.REGISTER if self.action == REGISTER else Purpose.RESET


_Attempt = Callable[[Request, UiaSession, Mapping[str, Any]], Awaitable[Refused | None]]


class Stages:
    """Passes stages. captcha: None where none is configured."""

    def __init__(
        self, password_check: PasswordCheck, invitations: Invitations, proofs: Proofs, captcha: Captcha | None
    ) -> None:
        self._password_check = password_check
        self._invitations = invitations
        self._proofs = proofs
        self._captcha = captcha
        self._attempts: Mapping[str, _Attempt] = {
            PASSWORD: self._password,
            DUMMY: self._nothing,
            TERMS: self._nothing,
            REGISTRATION_TOKEN: self._registration_token,
            EMAIL_IDENTITY: self._email,
            MSISDN_IDENTITY: self._msisdn,
            CAPTCHA: self._solved_captcha,
            SSO: self._proved,
        }

    async def attempt(self, stage: str, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        """Pass a stage of one of the session's flows; None if it is passed."""
        return await self._attempts[stage](request, session, auth)

    async def _password(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        if "identifier" not in auth and "user" not in auth and session.user_id is not None:
            named: UserId | Refused | None = session.user_id
        else:
            named = await self._password_check.named(auth)
        if isinstance(named, Refused):
            return named
        password = auth.get("password")
        if not isinstance(password, str):
            return Refused("M_MISSING_PARAM", "The password is missing.")
        if session.user_id is not None and named != session.user_id:
            raise Forbidden("This is another user than the one who asks.")
        account = await self._password_check.account(request, named, password)
        if account is None:
            return Refused("M_FORBIDDEN", "The password is wrong.")
        session.user_id = account.user_id
        return None

    async def _nothing(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        return None

    async def _registration_token(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        token = auth.get("token")
        if not isinstance(token, str):
            return Refused("M_MISSING_PARAM", "The registration token is missing.")
        invitation_id = await self._invitations.reserve(token, session.session_id)
        if invitation_id is None:
            return Refused("M_FORBIDDEN", "This registration token is not valid.")
        session.invitation_id = invitation_id
        return None

    async def _email(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        return await self._address(EMAIL, session, auth)

    async def _msisdn(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        return await self._address(MSISDN, session, auth)

    async def _address(self, medium: str, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        shown = credentials_in(auth)
        if isinstance(shown, Refused):
            return shown
        proof = await self._proofs.proof(session.purpose, shown, medium)
        if proof is None:
            return Refused(NOT_YET, "This address has not been confirmed yet.", status=401)
        if session.purpose is Purpose.RESET:
            # Whose address it was when the mail was sent, and still is.
            owner = await self._proofs.owner(proof.threepid)
            if owner is None or owner != proof.user_id or session.user_id not in (None, owner):
                return Refused("M_FORBIDDEN", "This address belongs to nobody, or to somebody else.")
            session.user_id = owner
        session.proofs[medium] = proof
        return None

    async def _proved(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        proof = auth.get("proof")
        if not isinstance(proof, ProvedInBrowser):
            return Refused(NOT_YET, "The sign-in has not been confirmed yet.", status=401)
        if session.user_id not in (None, proof.user_id):
            return Refused("M_FORBIDDEN", "This is another user than the one who asks.")
        session.user_id = proof.user_id
        return None

    async def _solved_captcha(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        assert self._captcha is not None
        solution = auth.get("response")
        if not isinstance(solution, str) or not solution:
            return Refused("M_CAPTCHA_NEEDED", "The captcha's answer is missing.")
        if not await self._captcha.is_solved(solution, request.client_address):
            return Refused("M_CAPTCHA_INVALID", "The captcha was not solved.")
        return None
