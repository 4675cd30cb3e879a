"""Whether an e-mail address is an account's. Deliberately absent: proving that (`accounts`)."""

from dataclasses import dataclass

from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids.commands import EMAIL, Threepid
from watchword.server.accounts.threepids.decide import parse_email
from watchword.server.accounts.threepids.service import Threepids


@dataclass(frozen=True)
class AccountAddresses:
    """Fits `Addresses`."""

    threepids: Threepids

    async def has_email(self, user_id: UserId, address: str) -> bool:
        email = parse_email(address)
        own = await self.threepids.of_user(user_id)
        return email is not None and any(owned.threepid == Threepid(EMAIL, email) for owned in own)
