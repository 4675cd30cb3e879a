"""What addresses outside of Matrix need somebody else to fit."""

from typing import Protocol

from watchword.edge.mail import Mail


class Mailbox(Protocol):
    """Fitted by `edge.mail.Mailer`."""

    def submit(self, mail: Mail) -> None:
        """Queue a mail. Raises LimitExceeded."""
        ...


class TextMessages(Protocol):
    """Fitted by `sms.SmsGateway`, or by whatever sends text messages."""

    async def send(self, number: str, text: str) -> None:
        """Send a text message to international digits. Raises PeerError."""
        ...


class RequestSigner(Protocol):
    """Fitted by federation: this server's signature on a request of its own."""

    def authorization(self, method: str, uri: str, destination: str, content: bytes) -> str:
        """The `Authorization: X-Matrix` header. content: the body, as canonical JSON.

        Spec: server-server-api#request-authentication
        """
        ...
