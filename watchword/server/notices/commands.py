"""What an operator may choose of server notices."""

from dataclasses import dataclass

from watchword.protocol.ids import UserId


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """user_id: who talks; None: the server has nothing to say. Names and pictures are those of user and room."""

    user_id: UserId | None = None
    display_name: str | None = None
    avatar_url: str | None = None
    room_name: str = "Server notices"
    room_topic: str | None = None
    room_avatar_url: str | None = None
    room_version: str = "12"
