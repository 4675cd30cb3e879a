"""User-interactive authentication: proving once more who asks, or that a newcomer may come.

Theory of operation. A request that needs it and has no `auth` is answered 401 with the flows and a session. The client
repeats the request with `auth` for one stage after another; when a flow is complete the request goes on. A session is
bound to the endpoint (`action`), to the user, and to a digest of what the request means, so that a proof given for one
thing cannot be spent on another. Sessions live in memory, for a quarter of an hour (an hour where addresses are
proved), in bounded number: a restart forgets them, which costs a client one more round. A finished session answers a
repetition of the very same request, so that a lost response does no harm; what must happen once only (a registration)
takes its session out of the engine first.

Spec: client-server-api#user-interactive-authentication-api
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, Forbidden, LimitExceeded, Unauthenticated
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import AccountSettings, Flows, Refused
from watchword.server.accounts.decide import EMAIL_IDENTITY, MSISDN_IDENTITY, PASSWORD, SSO, is_complete, stage_params
from watchword.server.accounts.invitations import Invitations
from watchword.server.accounts.threepids.commands import EMAIL, MSISDN
from watchword.server.accounts.uia_stages import NOT_YET, Stages, UiaSession

_SESSION_BYTES = 18


class Challenge(Unauthenticated):
    """401: the flows, the session, what is done; with errcode and error only after a failed attempt."""

    def __init__(self, body: Mapping[str, object], failure: Refused | None) -> None:
        super().__init__("" if failure is None else failure.errcode, "" if failure is None else failure.text)
        self._body = body
        self._failure = failure

    def body(self) -> dict[str, object]:
        return dict(self._body) if self._failure is None else {**super().body(), **self._body}


def meaning_digest(meaning: object) -> bytes:
    """What a request asks for, comparable and without its secrets. Raises BadRequest if it is no JSON we can write."""
    try:
        return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).digest()
    except TypeError as error:
        raise BadRequest("M_BAD_JSON", "The body has values that cannot be kept.") from error


class InteractiveAuthentication:
    """The engine, one per server."""

    def __init__(
        self,
        settings: AccountSettings,
        stages: Stages,
        invitations: Invitations,
        clock: Clock,
        entropy: Entropy,
        *,
        sessions_max: int = limits.uia_sessions_max,
    ) -> None:
        self._settings = settings
        self._stages = stages
        self._invitations = invitations
        self._clock = clock
        self._entropy = entropy
        self._sessions_max = sessions_max
        self._sessions: OrderedDict[str, UiaSession] = OrderedDict()
        self._of_user: dict[UserId, list[str]] = {}
        self._owned = 0
        # Mails take their time. One life for all sessions, so that the oldest always ends first.
        proves_addresses = settings.threepids.email or settings.threepids.msisdn
        self._session_ms = limits.uia_long_session_ms if proves_addresses else limits.uia_session_ms

    # For other features

    async def authorise(self, request: Request, requester: Requester, action: str, meaning: object) -> None:
        """Return if the requester has proved again who he is, for this and nothing else.

        action: the endpoint. meaning: JSON that tells what would be done. Raises Challenge 401, Forbidden.
        Application services prove themselves by their token alone.
        """
        if requester.kind is Kind.APPSERVICE:
            return
        if requester.kind is not Kind.USER:
            raise Forbidden("This cannot be done with such an access token.")
        await self.identify(request, requester, action, meaning)

    async def identify(self, request: Request, requester: Requester | None, action: str, meaning: object) -> UserId:
        """As `authorise`, also without an access token: whoever proves himself by password is returned."""
        owner = None if requester is None else requester.user_id
        session = await self.passed(request, owner, action, meaning, self.own_flows(owner))
        assert session.user_id is not None, session.completed
        return session.user_id

    def own_flows(self, owner: UserId | None) -> Flows:
        """How somebody proves that he is the owner of his access token; of nobody yet: whose account it is."""
        flows = [(PASSWORD,)] if self._settings.password_login or not self._settings.identity_providers else []
        if owner is not None and self._settings.identity_providers:
            flows.append((SSO,))
        return tuple(flows)

    async def regain(self, request: Request, requester: Requester | None, action: str, meaning: object) -> UiaSession:
        """As `identify`; whoever has no access token may also prove himself by an address of his account.

        The proofs of the session returned are the caller's to spend. Spec: client-server-api#password-reset
        """
        owner = None if requester is None else requester.user_id
        flows = list(self.own_flows(owner))
        if owner is None:
            known = ((EMAIL, EMAIL_IDENTITY), (MSISDN, MSISDN_IDENTITY))
            flows += [(stage,) for medium, stage in known if self._settings.threepids.sends_to(medium)]
        session = await self.passed(request, owner, action, meaning, flows)
        assert session.user_id is not None, session.completed
        return session

    # The engine

    async def passed(self, request: Request, owner: UserId | None, action: str, meaning: object, flows: Flows) -> UiaSession:
        """The finished session of this request. Raises Challenge while it is not finished.

        owner: whose proof it must be; None if the proof itself tells, or none is needed.
        """
        digest = meaning_digest(meaning)
        auth = request.json.get("auth")
        if auth is None:
            raise Challenge(self._begin(action, digest, owner, flows).body(), None)
        if not isinstance(auth, dict):
            raise BadRequest("M_BAD_JSON", "auth must be an object.")
        session = self._resumed(auth, action, digest, owner, flows)
        failure = await self._attempted(request, session, auth)
        if failure is not None:
            # Asking again whether a link was opened guesses nothing.
            session.failures += failure.errcode != NOT_YET
            if session.failures >= limits.uia_failures_max:
                self._remove(session)
            raise Challenge(session.body(), failure)
        if not is_complete(session.flows, session.completed):
            raise Challenge(session.body(), None)
        return session

    def take(self, session: UiaSession) -> None:
        """Remove a finished session before spending it. Raises Challenge if somebody else was first."""
        if self._sessions.get(session.session_id) is not session:
            raise Challenge(self._begin(session.action, session.meaning, None, session.flows).body(), None)
        self._forget(session)

    def give_back(self, session: UiaSession) -> None:
        """What a taken session was to pay for did not happen: let the client try again with it."""
        if session.expires_ms > self._clock.monotonic_ms():
            self._remember(session)
        else:
            self.finish(session)

    def finish(self, session: UiaSession) -> None:
        """A taken session has been spent: let go what it held."""
        if session.invitation_id is not None:
            self._invitations.release(session.invitation_id, session.session_id)

    async def attempt_in_browser(self, request: Request, session_id: str, stage: str, auth: Mapping[str, Any]) -> bool:
        """Pass one stage from the fallback page; whether it succeeded. Spec: client-server-api#fallback"""
        self._sweep()
        session = self._sessions.get(session_id)
        if session is None or session.failures >= limits.uia_failures_max:
            return False
        failure = await self._attempted(request, session, {**auth, "type": stage})
        if failure is not None:
            session.failures += failure.errcode != NOT_YET
        return failure is None

    def session(self, session_id: str) -> UiaSession | None:
        """A session that is still open, for the pages."""
        self._sweep()
        return self._sessions.get(session_id)

    def _begin(self, action: str, digest: bytes, owner: UserId | None, flows: Flows) -> UiaSession:
        self._sweep()
        # Strangers cannot use up what there is for those who have an account.
        if (len(self._sessions) - self._owned if owner is None else self._owned) >= self._sessions_max:
            raise LimitExceeded(60_000, "Too many people are authenticating.")
        session = UiaSession(
            session_id=self._entropy.token(_SESSION_BYTES),
            action=action,
            meaning=digest,
            user_id=owner,
            flows=flows,
            expires_ms=self._clock.monotonic_ms() + self._session_ms,
            is_anonymous=owner is None,
            params=stage_params(self._settings, flows),
        )
        if owner is not None:
            own = self._of_user.get(owner, [])
            if len(own) >= limits.uia_sessions_per_user_max:
                self._remove(self._sessions[own[0]])
        self._remember(session)
        return session

    def _resumed(self, auth: Mapping[str, Any], action: str, digest: bytes, owner: UserId | None, flows: Flows) -> UiaSession:
        session_id = auth.get("session")
        if session_id is None:
            return self._begin(action, digest, owner, flows)
        self._sweep()
        session = self._sessions.get(session_id) if isinstance(session_id, str) else None
        if session is None or session.expires_ms <= self._clock.monotonic_ms():
            fresh = self._begin(action, digest, owner, flows)
            failure = Refused("M_FORBIDDEN", "This authentication session is not known or has expired.", status=401)
            raise Challenge(fresh.body(), failure)
        same_owner = session.is_anonymous if owner is None else session.user_id == owner and not session.is_anonymous
        if session.action != action or session.meaning != digest or not same_owner:
            raise Forbidden("This authentication session belongs to another request.")
        return session

    async def _attempted(self, request: Request, session: UiaSession, auth: Mapping[str, Any]) -> Refused | None:
        stage = auth.get("type")
        if stage is None or stage in session.completed:
            # Polling, or the repetition of a stage whose answer was lost.
            return None
        if not isinstance(stage, str) or not any(stage in flow for flow in session.flows):
            return Refused("M_UNRECOGNIZED", "This stage is not asked for.")
        failure = await self._stages.attempt(stage, request, session, auth)
        if failure is None and stage not in session.completed:
            session.completed.append(stage)
        return failure

    # Keeping sessions

    def _sweep(self) -> None:
        now_ms = self._clock.monotonic_ms()
        while self._sessions and (oldest := next(iter(self._sessions.values()))).expires_ms <= now_ms:
            self._remove(oldest)

    def _remember(self, session: UiaSession) -> None:
        self._sessions[session.session_id] = session
        if not session.is_anonymous and session.user_id is not None:
            self._of_user.setdefault(session.user_id, []).append(session.session_id)
            self._owned += 1

    def _forget(self, session: UiaSession) -> None:
        self._sessions.pop(session.session_id, None)
        if session.is_anonymous or session.user_id is None:
            return
        own = self._of_user.get(session.user_id, [])
        if session.session_id in own:
            own.remove(session.session_id)
            self._owned -= 1
        if not own:
            self._of_user.pop(session.user_id, None)

    def _remove(self, session: UiaSession) -> None:
        self._forget(session)
        self.finish(session)
