"""What server notices need others to fit."""

from typing import Protocol

from watchword.protocol.ids import UserId


class NoticeAccount(Protocol):
    """The account of the server's own user. Fitted by `accounts`."""

    async def ensure(self, user_id: UserId, display_name: str | None, avatar_url: str | None) -> None:
        """Have the account, without any way to log in; harmless if it is there."""
        ...
