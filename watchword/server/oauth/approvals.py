"""User-interactive authentication for those who signed in through OAuth.

They cannot pass its stages: their client never sees a password. One thing is possible, the replacement of cross-signing
keys: the client is told a page of ours (`m.oauth`), the user approves there, and the client repeats its request. An
approval is good for a few minutes and for one upload by one device. Everything else that asks for such a proof is done at
our pages instead.

Spec: client-server-api#oauth-authentication
"""

from dataclasses import dataclass
from urllib.parse import quote

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import UserId
from watchword.server.accounts.uia import Challenge, InteractiveAuthentication
from watchword.server.oauth import tables
from watchword.server.oauth.commands import PREFIX, OAuthSettings
from watchword.storage import Database

RESET = "org.matrix.cross_signing_reset"
_UPLOAD = "keys/device_signing/upload"
_STAGE = "m.oauth"
_SESSION_CHARACTERS_MAX = 64


@dataclass(frozen=True)
class Approvals:
    """Fits the port `InteractiveAuth` of e2ee."""

    database: Database
    uia: InteractiveAuthentication
    clock: Clock
    entropy: Entropy
    settings: OAuthSettings

    async def authorise(self, request: Request, requester: Requester, action: str, meaning: object) -> None:
        """Return if the requester has proved again who he is, for this and nothing else. Raises Challenge 401, Forbidden."""
        if requester.kind is not Kind.OAUTH:
            await self.uia.authorise(request, requester, action, meaning)
            return
        if action != _UPLOAD:
            raise Forbidden("This is done at the account page of the server.")
        device_id = requester.device_id or ""
        async with self.database.write() as tx:
            approved = await tables.take_approval(tx, requester.user_id, device_id, self.clock.now_ms())
        if not approved:
            raise Challenge(self._challenge(request, device_id), None)

    def _challenge(self, request: Request, device_id: str) -> dict[str, object]:
        auth = request.json.get("auth")
        session = auth.get("session") if isinstance(auth, dict) else None
        if not isinstance(session, str) or len(session) > _SESSION_CHARACTERS_MAX:
            session = self.entropy.token(18)
        url = self.settings.url(f"{PREFIX}/account?action={RESET}&device_id={quote(device_id, safe='')}")
        # COMPAT(clients before v1.17, until 2028): they look for the stage under the name of the action.
        return {
            "flows": [{"stages": [_STAGE]}, {"stages": [RESET]}],
            "params": {_STAGE: {"url": url}, RESET: {"url": url}},
            "session": session,
            "completed": [],
        }

    async def approve(self, user_id: UserId, device_id: str | None) -> None:
        """The user allows that one device (None: any of his) replaces his cross-signing keys, soon."""
        async with self.database.write() as tx:
            await tables.set_approval(tx, user_id, device_id or "", self.clock.now_ms() + limits.reset_approval_ms)
