"""Identity servers: telling them who has which address, taking it back, and letting one of them send codes by text message.

Only those that the operator trusts are asked; others are refused before any connection. Deliberately absent: looking
addresses up, which is the client's own business.

Spec: identity-service-api#establishing-associations
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, PeerError, Refusal
from watchword.edge.fetch import Fetcher, FetchFailed, Outgoing
from watchword.protocol import canonical_json
from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids.commands import Threepid
from watchword.server.accounts.threepids.decide import parse_threepid, passed_on
from watchword.server.accounts.threepids.ports import RequestSigner

logger = logging.getLogger(__name__)

_V2 = "/_matrix/identity/v2"
_SID = re.compile(r"[0-9a-zA-Z.=_-]{1,255}", re.ASCII)


@dataclass(frozen=True)
class IdentityServers:
    """Asks identity servers.

    trusted: name → base URL. fetcher: refuses private addresses unless the operator allows them. code_server, code_token:
    the one that sends codes, and our account there; None if none does.
    """

    fetcher: Fetcher | None = None
    signer: RequestSigner | None = None
    trusted: Mapping[str, str] = field(default_factory=dict)
    code_server: str | None = None
    code_token: str | None = field(default=None, repr=False)

    def require_trusted(self, name: str) -> str:
        """The base URL of an identity server. Raises BadRequest M_SERVER_NOT_TRUSTED."""
        url = self.trusted.get(name)
        if url is None:
            raise BadRequest("M_SERVER_NOT_TRUSTED", "This server does not trust that identity server.")
        return url.rstrip("/")

    async def bind(self, name: str, access_token: str, sid: str, client_secret: str, user_id: UserId) -> Threepid:
        """Publish an address that the client proved there; which one. Raises Refusal: theirs, or 502.

        Spec: client-server-api#post_matrixclientv3account3pidbind
        """
        body = {"sid": sid, "client_secret": client_secret, "mxid": user_id}
        found = await self._ask(name, "/3pid/bind", body, {"authorization": f"Bearer {access_token}"})
        medium, address = found.get("medium"), found.get("address")
        threepid = parse_threepid(medium, address) if isinstance(medium, str) and isinstance(address, str) else None
        if threepid is None or found.get("mxid") != user_id:
            raise _garbled()
        return threepid

    async def unbind(self, name: str, threepid: Threepid, user_id: UserId) -> bool:
        """Take an address back, with this server's signature; False if that server does not support it.

        Raises Refusal: theirs, or 502 if it does not answer. Spec: client-server-api#post_matrixclientv3account3pidunbind
        """
        body = {"mxid": user_id, "threepid": {"medium": threepid.medium, "address": threepid.address}}
        self.require_trusted(name)
        content = canonical_json.encode(body)
        assert self.signer is not None
        authorization = self.signer.authorization("POST", _V2 + "/3pid/unbind", name, content)
        try:
            await self._post(name, "/3pid/unbind", content, {"authorization": authorization})
        except FetchFailed as error:
            if error.status in (400, 404, 501) and error.errcode is None:
                return False
            raise _refusal(error) from error
        return True

    async def request_code(self, number: str, secret: str, attempt: int) -> str:
        """Have a code sent to a number (international digits); their name of the session. Raises Refusal."""
        assert self.code_server is not None
        # The number is whole: the country only says how a shorter one would be read.
        body = {"client_secret": secret, "country": "GB", "phone_number": f"+{number}", "send_attempt": attempt}
        found = await self._ask(self.code_server, "/validate/msisdn/requestToken", body, self._as_ourselves())
        sid = found.get("sid")
        if not isinstance(sid, str) or _SID.fullmatch(sid) is None:
            raise _garbled()
        return sid

    async def submit_code(self, sid: str, secret: str, token: str) -> bool:
        """Whether a code is the one that was sent. Raises Refusal 502 if that server does not answer."""
        assert self.code_server is not None
        body = {"sid": sid, "client_secret": secret, "token": token}
        try:
            found = await self._ask(self.code_server, "/validate/msisdn/submitToken", body, self._as_ourselves())
        except Refusal as refusal:
            if refusal.status == 502:
                raise
            return False
        return found.get("success") is True

    def _as_ourselves(self) -> Mapping[str, str]:
        return {} if self.code_token is None else {"authorization": f"Bearer {self.code_token}"}

    async def _ask(self, name: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        self.require_trusted(name)
        try:
            return await self._post(name, path, canonical_json.encode(body), headers)
        except FetchFailed as error:
            raise _refusal(error) from error

    async def _post(self, name: str, path: str, content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        assert self.fetcher is not None
        return await self.fetcher.fetch_json(
            Outgoing(
                "POST",
                self.require_trusted(name) + _V2 + path,
                headers={"content-type": "application/json", "accept": "application/json", **headers},
                body=content,
                timeout_ms=limits.identity_timeout_ms,
                bytes_max=limits.identity_answer_bytes_max,
                peer=name,
            )
        )


def _refusal(error: PeerError) -> Refusal:
    if error.status is None or error.status < 400 or error.status >= 500:
        logger.info("An identity server failed.", extra={"server_name": error.server_name, "status": error.status})
        return Refusal("M_UNKNOWN", "The identity server did not answer as it should.", status=502)
    return passed_on(error.status, error.errcode).error()


def _garbled() -> Refusal:
    return Refusal("M_UNKNOWN", "The identity server did not answer as it should.", status=502)
