"""What digests say: how much is unread where, and how to get no more of them.

Deliberately absent: how they travel (`edge/mail`), and translations.

Spec: client-server-api#post_matrixclientv3pushersset
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from watchword.edge.mail import Mail
from watchword.server.accounts.threepids.decide import parse_email
from watchword.server.push.commands import DigestSettings, Pusher
from watchword.server.push.missed import Missed

UNSUBSCRIBE_PATH = "/_watchword/client/v1/push/unsubscribe"


class DigestMails:
    """Writes them, in the name of one server."""

    def __init__(self, settings: DigestSettings) -> None:
        self._settings = settings
        self._templates: Any = None

    def mail(self, pusher: Pusher, token: str, missed: Missed) -> Mail:
        """A mail in both forms. token: ends these mails."""
        address = parse_email(pusher.key.pushkey)
        assert address is not None, pusher.pusher_id
        link = f"{self._settings.base_url.rstrip('/')}{UNSUBSCRIBE_PATH}?token={quote(token, safe='')}"
        subject = self._subject(missed)
        words = {
            "server_name": self._settings.server_name,
            "user_id": pusher.key.user_id,
            "missed": missed,
            "subject": subject,
            "link": link,
        }
        headers = [("List-Unsubscribe", f"<{link}>")]
        if link.startswith("https:"):
            # Whoever reads mail may offer a button for it. RFC 8058, section 3.1.
            headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        return Mail(
            to=address,
            subject=subject,
            text=self._template("digest.txt").render(words),
            html=self._template("digest.html").render(words),
            headers=headers,
        )

    def _subject(self, missed: Missed) -> str:
        """No names: subjects show up where others can see them."""
        count = sum(room.count for room in missed.rooms)
        what = f"{count} unread message{'' if count == 1 else 's'}" if count else "An invitation"
        return f"{what} at {self._settings.server_name}"

    def _template(self, name: str) -> Any:
        if self._templates is None:
            # Imported here: a server that sends no mail does not pay for the library.
            from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

            self._templates = Environment(
                loader=FileSystemLoader(Path(__file__).with_name("templates")),
                autoescape=select_autoescape(("html",)),
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
            )
        return self._templates.get_template(name)
