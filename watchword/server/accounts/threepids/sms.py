"""Text messages through a gateway of the operator's choice: one JSON POST for each.

`POST url` with `Content-Type: application/json`, `Authorization: Bearer <token>` if a token is set, and the body
`{"to": "+491511234567", "message": "…"}`. Any 2xx means that the gateway took it. Translating this into what a provider
wants is the gateway's work.
"""

import logging
from dataclasses import dataclass, field

import orjson

from watchword.base import limits
from watchword.edge.fetch import Failure, Fetcher, FetchFailed, Outgoing

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SmsGateway:
    """Fits `TextMessages`. fetcher: one that may go wherever the operator's URL points."""

    fetcher: Fetcher
    url: str
    token: str | None = field(default=None, repr=False)

    async def send(self, number: str, text: str) -> None:
        """Hand a text message to the gateway. Raises PeerError."""
        headers = {"content-type": "application/json"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        answer = await self.fetcher.fetch(
            Outgoing(
                "POST",
                self.url,
                headers=headers,
                body=orjson.dumps({"to": f"+{number}", "message": text}),
                timeout_ms=limits.identity_timeout_ms,
                bytes_max=limits.identity_answer_bytes_max,
                peer="SMS gateway",
            )
        )
        if not 200 <= answer.status < 300:
            logger.warning("The SMS gateway refused a message.", extra={"status": answer.status})
            raise FetchFailed("SMS gateway", Failure.STATUS, status=answer.status)
