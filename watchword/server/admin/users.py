"""What an administrator sees of users and does to them, with its entry in the audit log.

Whoever asks has been found to be an administrator. What takes an account from its owner is not done to another administrator
(`decide`). Deliberately absent: acting in a user's name, and reading what he says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base.errors import BadRequest, NotFound
from watchword.edge.auditing import Entry
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, RoomId, UserId, domain_of, localpart_of
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import Account, Device
from watchword.server.accounts.decide import device_name_refusal, profile_value_refusal
from watchword.server.accounts.threepids.commands import OwnThreepid
from watchword.server.admin.decide import ADMINS_TOO, ANYBODY, ONESELF_TOO, OTHERS, Reach, target_refusal
from watchword.server.media.commands import Usage
from watchword.server.media.inventory import Inventory
from watchword.server.push.journal import PushJournal
from watchword.server.rooms.reader import RoomReader
from watchword.storage import Also, Tx


@dataclass(frozen=True, slots=True)
class UserSheet:
    """What there is to know of a user."""

    account: Account
    displayname: str | None
    avatar_url: str | None
    threepids: Sequence[OwnThreepid]
    devices: Sequence[Device]
    rooms: Sequence[RoomId]
    media: Usage

    @property
    def last_seen_ts(self) -> int | None:
        """When any of his devices was last seen."""
        return max((device.last_seen_ts for device in self.devices if device.last_seen_ts is not None), default=None)


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account to make. password None: nobody can log in with one, until one is set."""

    localpart: str
    password: str | None = None
    displayname: str | None = None
    admin: bool = False


@dataclass(frozen=True)
class Users:
    """Shows and changes users."""

    accounts: Accounts
    rooms: RoomReader
    inventory: Inventory
    push: PushJournal

    # Looking

    async def target(self, requester: Requester, user_id: UserId, reach: Reach = ANYBODY) -> Account:
        """An account that something may be done to. Raises Refusal."""
        account = await self.accounts.reader.account(user_id)
        refused = target_refusal(
            reach,
            is_local=domain_of(user_id) == self.accounts.settings.server_name,
            is_self=requester.user_id == user_id,
            target=account,
        )
        if refused is not None:
            raise refused.refusal()
        assert account is not None
        return account

    async def sheet(self, account: Account) -> UserSheet:
        """What there is to know of a user."""
        user_id = account.user_id
        profile = await self.accounts.reader.profile(user_id)
        return UserSheet(
            account=account,
            displayname=_text(profile.get("displayname")),
            avatar_url=_text(profile.get("avatar_url")),
            threepids=await self.accounts.threepids.of_user(user_id),
            devices=await self.devices(user_id),
            rooms=await self.rooms.joined_rooms(user_id),
            media=await self.inventory.usage(user_id),
        )

    async def devices(self, user_id: UserId) -> Sequence[Device]:
        """A user's devices, as they were last seen."""
        await self.accounts.last_seen.save()
        return await self.accounts.reader.devices(user_id)

    # Doing

    async def create(self, new: NewUser, entry: Entry) -> Account:
        """Make an account. Raises BadRequest."""
        if new.displayname is not None:
            _check_field("displayname", new.displayname)
        entry.about(f"@{new.localpart}:{self.accounts.settings.server_name}")
        entry.add(admin=new.admin)
        made = await self.accounts.registrar.register_as_operator(
            new.localpart, new.password, admin=new.admin, wants_login=False, also=entry
        )
        if new.displayname is not None:
            await self.accounts.profiles.store_field(made.user_id, "displayname", new.displayname)
        account = await self.accounts.reader.account(made.user_id)
        assert account is not None, made.user_id
        return account

    async def set_admin(self, requester: Requester, user_id: UserId, admin: bool, entry: Entry) -> None:
        """Give or take an administrator's right. Nobody takes it from himself, so that one is left. Raises Refusal."""
        account = await self.target(requester, user_id, ONESELF_TOO if admin and requester.user_id == user_id else ADMINS_TOO)
        if admin and account.is_guest:
            raise BadRequest("M_INVALID_PARAM", "A guest has no account to be an administrator with.")
        entry.add(admin=admin)
        await self.accounts.admin.set_admin(user_id, admin, also=entry)

    async def set_locked(self, requester: Requester, user_id: UserId, locked: bool, entry: Entry) -> None:
        """Lock or unlock. Raises Refusal. Spec: client-server-api#account-locking"""
        entry.add(locked=locked)
        await self.accounts.admin.set_locked(requester, user_id, locked, also=entry)

    async def set_suspended(self, requester: Requester, user_id: UserId, suspended: bool, entry: Entry) -> None:
        """Suspend or restore. Raises Refusal. Spec: client-server-api#account-suspension"""
        entry.add(suspended=suspended)
        await self.accounts.admin.set_suspended(requester, user_id, suspended, also=entry)

    async def deactivate(self, requester: Requester, user_id: UserId, erase: bool, entry: Entry) -> bool:
        """End an account for ever; whether its addresses could be taken back everywhere. Raises Refusal."""
        await self.target(requester, user_id, OTHERS)
        entry.add(erase=erase)
        return await self.accounts.admin.deactivate(user_id, erase=erase, also=entry)

    async def reset_password(
        self, requester: Requester, user_id: UserId, password: str, *, log_out: bool, entry: Entry
    ) -> None:
        """Set a password. log_out: every device of his goes, but the one that asks. Raises Refusal."""
        await self.target(requester, user_id, ONESELF_TOO)
        self.accounts.registrar.check_password(password)
        entry.add(logout_devices=log_out)
        keep = requester.device_id if requester.user_id == user_id else None
        await self.accounts.admin.change_password(user_id, password, log_out=log_out, keep=keep, also=entry)

    async def set_profile(self, user_id: UserId, field: str, value: str, entry: Entry) -> None:
        """Give a user a display name or a picture; "" takes it away. Raises BadRequest."""
        entry.add(field=field)
        if value:
            _check_field(field, value)
            await self.accounts.profiles.store_field(user_id, field, value)
        else:
            himself = Requester(user_id, None, 0)
            await self.accounts.profiles.delete_field(himself, user_id, field)

    async def end_devices(self, requester: Requester, user_id: UserId, device_ids: Sequence[DeviceId], also: Also) -> None:
        """Sign devices out, with what belongs to them; unknown ones are passed over. Raises Refusal."""
        await self.target(requester, user_id, ONESELF_TOO)
        async with self.accounts.sessions.database.write() as tx:
            await self.accounts.devices.end(tx, user_id, device_ids)
            await also(tx)

    async def rename_device(self, user_id: UserId, device_id: DeviceId, display_name: str | None) -> None:
        """Give a device another name. Raises NotFound, BadRequest."""
        refused = device_name_refusal(display_name)
        if refused is not None:
            raise refused.error()
        await self.accounts.devices.rename(Requester(user_id, device_id, 0), device_id, display_name)

    async def device(self, user_id: UserId, device_id: DeviceId) -> Device:
        """One device, as it was last seen. Raises NotFound."""
        for device in await self.devices(user_id):
            if device.device_id == device_id:
                return device
        raise NotFound("This user has no such device.")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _check_field(field: str, value: str) -> None:
    refused = profile_value_refusal(field, value)
    if refused is not None:
        raise refused.error()


def localpart_in(user_id: UserId) -> str:
    """The localpart of an ID that is to become an account. Raises BadRequest if that is no new name."""
    localpart = localpart_of(user_id)
    if not localpart:
        raise BadRequest("M_INVALID_USERNAME", "This cannot be a user name.")
    return localpart


async def nothing(_: Tx) -> None:
    """For what is a part of something larger, whose entry is written there."""
