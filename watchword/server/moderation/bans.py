"""The bans that hold on this server as a whole, in memory. Changed by `policy_lists`, asked on every invite and join.

Fits `rooms.ports.StandingBans`.
"""

from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.protocol.policy_lists import PolicyRules


class BanList:
    """Who is banned now. Nobody of this server is, whatever a list says: accounts here are the operator's own business.

    rules: what the lists say. blocked_rooms: what administrators say; they keep it.
    """

    def __init__(self, server_name: ServerName) -> None:
        self._server_name = server_name
        self.rules = PolicyRules()
        self.blocked_rooms: set[RoomId] = set()

    def bans_user(self, user_id: UserId) -> bool:
        """Whether a user is banned, or his server."""
        return not user_id.endswith(":" + self._server_name) and self.rules.bans_user(user_id)

    def bans_server(self, server_name: ServerName) -> bool:
        """Whether a server is banned."""
        return server_name != self._server_name and self.rules.bans_server(server_name)

    def bans_room(self, room_id: RoomId) -> bool:
        """Whether a room is banned."""
        return room_id in self.blocked_rooms or self.rules.bans_room(room_id)
