"""Pages: templates filled in, and the headers that keep a page to itself.

A page loads one style sheet of ours and nothing else, needs no script, stands in no frame, and its forms lead to us alone,
or to the one address that the answer will redirect to. Every template escapes what it shows.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from watchword.base.errors import LimitExceeded, Refusal
from watchword.edge.replies import Reply
from watchword.server.oauth.browsers import Browsers, Visit
from watchword.server.oauth.commands import PREFIX, OAuthSettings

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = "watchword.server.oauth"
_STYLE = f"{PREFIX}/pages.css"


def _fingerprint(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class Pages:
    """Fills in templates."""

    def __init__(self, settings: OAuthSettings, browsers: Browsers) -> None:
        self._settings = settings
        self._browsers = browsers

    @cached_property
    def _templates(self) -> "Environment":
        # jinja2 takes some MiB; a server whose users sign in elsewhere never shows a page.
        from jinja2 import Environment, PackageLoader, StrictUndefined

        return Environment(
            loader=PackageLoader(_PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @cached_property
    def style(self) -> bytes:
        """The style sheet."""
        return files(_PACKAGE).joinpath("templates/pages.css").read_bytes()

    @cached_property
    def _style_path(self) -> str:
        return f"{_STYLE}?v={hashlib.sha256(self.style).hexdigest()[:16]}"

    def page(
        self,
        template: str,
        visit: Visit,
        *,
        status: int = 200,
        form_targets: Sequence[str] = (),
        script: str = "",
        **values: object,
    ) -> Reply:
        """One page for one browser. form_targets: where the answer to its form may redirect to, besides us.

        script: for the few pages where one spares people something; every page does its work without.
        """
        text = self._templates.get_template(f"{template}.html").render(
            values,
            prefix=PREFIX,
            style=self._style_path,
            server_name=self._settings.server_name,
            account=visit.account,
            form_token=visit.form_token,
            script=script,
        )
        return Reply(status, text.encode(), self._headers(visit, form_targets, script))

    def _headers(self, visit: Visit, form_targets: Sequence[str], script: str) -> Mapping[str, str]:
        scripts = f"script-src {_fingerprint(script)}; " if script else ""
        forms = " ".join(("'self'", *form_targets))
        headers = {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": f"default-src 'none'; {scripts}style-src 'self'; form-action {forms}; "
            "frame-ancestors 'none'; base-uri 'none'",
            "x-frame-options": "DENY",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
        }
        return {**headers, "set-cookie": self._browsers.cookie(visit)} if visit.is_new else headers

    def go(self, visit: Visit, url: str, *, status: int = 303) -> Reply:
        """Send a browser on with GET."""
        headers = {"location": url, "cache-control": "no-store", "referrer-policy": "no-referrer"}
        if visit.is_new:
            headers["set-cookie"] = self._browsers.cookie(visit)
        return Reply(status, b"", headers)

    def message(self, visit: Visit, title: str, text: str, *, status: int = 200) -> Reply:
        """A page that says one thing."""
        return self.page("message", visit, status=status, title=title, text=text)

    def sorry(self, visit: Visit, refusal: Refusal) -> Reply:
        """A page for a refusal."""
        text = refusal.text
        if isinstance(refusal, LimitExceeded):
            minutes = max(1, -(-refusal.retry_after_ms // 60_000))
            text = f"{text} Please try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
        return self.message(visit, "That did not work", text, status=refusal.status)
