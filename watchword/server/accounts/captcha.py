"""Asking a captcha service whether its riddle was solved. Speaks the form that reCAPTCHA, hCaptcha and Turnstile share.

Spec: client-server-api#google-recaptcha
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from watchword.base import limits
from watchword.edge.fetch import Fetcher, Outgoing
from watchword.server.accounts.commands import CaptchaSettings


@dataclass(frozen=True, slots=True)
class Captcha:
    """The service. fetcher: one that may go wherever the operator's URL points."""

    fetcher: Fetcher
    settings: CaptchaSettings

    async def is_solved(self, solution: str, client_address: str) -> bool:
        """Whether the service accepts what a client brought. Raises PeerError if it does not answer."""
        if len(solution) > limits.captcha_answer_characters_max:
            return False
        fields = {"secret": self.settings.secret, "response": solution}
        if client_address:
            fields["remoteip"] = client_address
        answer = await self.fetcher.fetch_json(
            Outgoing(
                "POST",
                self.settings.verify_url,
                headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
                body=urlencode(fields, errors="replace").encode(),
                timeout_ms=limits.identity_timeout_ms,
                bytes_max=limits.identity_answer_bytes_max,
                peer="captcha service",
            )
        )
        return answer.get("success") is True
