"""What is written to people's addresses: four mails and four text messages, from the templates of this folder.

Deliberately absent: how they travel (`edge/mail`, `sms`), and translations: nobody knows a newcomer's language yet.
"""

from enum import Enum
from pathlib import Path
from typing import Any

from watchword.edge.mail import Mail


class Message(Enum):
    """The occasions; the values name the templates."""

    PROVE = "prove"
    RESET = "reset"
    IN_USE = "in_use"
    UNKNOWN = "unknown"


_SUBJECTS = {
    Message.PROVE: "Confirm your e-mail address for {server_name}",
    Message.RESET: "Choose a new password for {server_name}",
    Message.IN_USE: "Your e-mail address is already in use at {server_name}",
    Message.UNKNOWN: "No account at {server_name} has this e-mail address",
}
_TEXTS = {
    Message.PROVE: "{code} is your code for {server_name}. If you did not ask for it, ignore this message.",
    Message.RESET: "{code} is your code to choose a new password at {server_name}. If you did not ask for it, ignore it.",
    Message.IN_USE: "Somebody tried to use this number at {server_name}, where an account has it already.",
    Message.UNKNOWN: "Somebody asked for a new password at {server_name}, where no account has this number.",
}


class Messages:
    """Writes them, in the name of one server."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        self._templates: Any = None

    def mail(self, message: Message, to: str, *, link: str = "", hours: int = 0) -> Mail:
        """A mail in both forms. link: what proves the address, good for so many hours."""
        words = {"server_name": self._server_name, "link": link, "hours": hours}
        return Mail(
            to=to,
            subject=_SUBJECTS[message].format(server_name=self._server_name),
            text=self._template(f"{message.value}.txt").render(words),
            html=self._template(f"{message.value}.html").render(words),
        )

    def text(self, message: Message, *, code: str = "") -> str:
        """A text message."""
        return _TEXTS[message].format(server_name=self._server_name, code=code)

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
