"""Server notices put together."""

from dataclasses import dataclass

from watchword.base.errors import BadRequest
from watchword.protocol.ids import UserId, localpart_of
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import CreateAccount
from watchword.server.accounts.registration import Registration
from watchword.server.notices.commands import NoticeSettings
from watchword.server.notices.service import ServerNotices
from watchword.server.rooms.membership import Membership
from watchword.storage import Database


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """Fits `NoticeAccount`."""

    accounts: Accounts

    async def ensure(self, user_id: UserId, display_name: str | None, avatar_url: str | None) -> None:
        """Make the account unless it is there; give it its name and picture."""
        if not await self.accounts.reader.exists(user_id):
            wish = Registration(localpart_of(user_id), None, None, None, wants_login=False, refreshable=False)
            try:
                await self.accounts.registrar.create(CreateAccount(user_id, None), wish)
            except BadRequest as error:
                if error.errcode != "M_USER_IN_USE":
                    raise
        profile = await self.accounts.reader.profile(user_id)
        for field, value in (("displayname", display_name), ("avatar_url", avatar_url)):
            if value is not None and profile.get(field) != value:
                await self.accounts.profiles.store_field(user_id, field, value)


def assemble_notices(database: Database, accounts: Accounts, membership: Membership, settings: NoticeSettings) -> ServerNotices:
    """Build everything of this feature."""
    return ServerNotices(database, membership, accounts.user_data, OwnAccount(accounts), settings)
