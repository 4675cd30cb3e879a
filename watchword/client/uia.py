"""User-interactive authentication: which stage to do next, and with what.

Pure. Spec: client-server-api#user-interactive-authentication-api
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.client.crypto.untrusted import text_at, texts_at

DUMMY = "m.login.dummy"
PASSWORD = "m.login.password"  # noqa: S105 (the name of a stage)
REGISTRATION_TOKEN = "m.login.registration_token"  # noqa: S105
TERMS = "m.login.terms"


@dataclass(frozen=True)
class Credentials:
    """What the user can show. accept_terms: whether they have agreed to the server's terms."""

    user_id: str = ""
    password: str | None = None
    registration_token: str | None = None
    accept_terms: bool = False

    def __repr__(self) -> str:
        return f"Credentials({self.user_id!r})"

    def _stage(self, stage: str) -> dict[str, Any] | None:
        """The `auth` for one stage without its session, or None if we cannot do it."""
        if stage == DUMMY:
            return {"type": DUMMY}
        if stage == PASSWORD and self.password is not None:
            return {"type": PASSWORD, "identifier": {"type": "m.id.user", "user": self.user_id}, "password": self.password}
        if stage == REGISTRATION_TOKEN and self.registration_token is not None:
            return {"type": REGISTRATION_TOKEN, "token": self.registration_token}
        if stage == TERMS and self.accept_terms:
            return {"type": TERMS}
        return None

    def next_auth(self, challenge: Mapping[str, Any], tried: Sequence[str]) -> dict[str, Any] | None:
        """The `auth` to send after a 401 with this body; None if no flow can be finished with what we have.

        tried: stages sent before; one that did not complete is not sent again.
        """
        completed = texts_at(challenge, "completed")
        session = text_at(challenge, "session")
        flows = challenge.get("flows")
        possible = []
        for flow in flows if isinstance(flows, list) else []:
            stages = [stage for stage in texts_at(flow, "stages") if stage not in completed]
            if stages and all(stage not in tried and self._stage(stage) is not None for stage in stages):
                possible.append(stages)
        if not possible:
            return None
        auth = self._stage(min(possible, key=len)[0])
        assert auth is not None
        return auth if session is None else {**auth, "session": session}
