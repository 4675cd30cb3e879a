"""`watchword invite`, `invitations`, `revoke`: who may make an account.

They write to the server's database by themselves, beside a running server: SQLite lets one wait for the other, and the
server keeps nothing of invitations in memory but registrations that are under way.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from watchword.base.clock import SystemClock
from watchword.base.config import Config
from watchword.base.entropy import SystemEntropy
from watchword.cli.serve import CONFIG_OPTION, SET_OPTION, load_config
from watchword.edge.auditing import Deed
from watchword.protocol.ids import parse_room_id, parse_user_id
from watchword.server.accounts.commands import CreateInvitation, Invitation
from watchword.server.accounts.invitations import Invitations, invitation_link
from watchword.server.admin.audit import AuditLog
from watchword.server.app import SCHEMAS
from watchword.storage import SqliteDatabase, migrate
from watchword.storage.folder import make_folder

T = TypeVar("T")
_DAY_MS = 86_400_000


def with_invitations(config: Config, work: Callable[[Invitations, AuditLog], Awaitable[T]]) -> T:
    """Do something with a server's invitations, whether it runs or not; its audit log is there, too."""

    make_folder(Path(config.data_dir))

    async def run() -> T:
        database = SqliteDatabase(config.database_path)
        try:
            await migrate(database, SCHEMAS)
            audit = AuditLog(database, SystemClock(), config.admin.audit_kept_ms)
            return await work(Invitations(database, SystemClock(), SystemEntropy()), audit)
        finally:
            await database.close()

    return asyncio.run(run())


def create_command(
    config: Config,
    *,
    uses: int | None,
    days: float | None,
    label: str,
    admin: bool,
    inviter: str | None,
    rooms: tuple[str, ...],
) -> CreateInvitation:
    """The command of an invitation, with the defaults of the configuration."""
    now_ms = SystemClock().now_ms()
    lifetime_ms = config.registration.invitation_lifetime_ms if days is None else int(days * _DAY_MS)
    return CreateInvitation(
        created_by=None if inviter is None else parse_user_id(inviter),
        uses_allowed=config.registration.invitation_uses if uses is None else uses,
        expires_ts=now_ms + lifetime_ms,
        label=label,
        invite_to=tuple(parse_room_id(room) for room in rooms),
        grants_admin=admin,
    )


@click.command()
@CONFIG_OPTION
@SET_OPTION
@click.option("--uses", type=click.IntRange(min=1), help="How many accounts it may make.")
@click.option("--days", type=click.FloatRange(min=0.0001), help="How long it is good.")
@click.option("--label", default="", help="For whom it is, for the list of invitations.")
@click.option("--admin", is_flag=True, help="Whoever registers with it becomes an administrator.")
@click.option("--by", "inviter", metavar="USER_ID", help="Who invites; needed with --room.")
@click.option("--room", "rooms", multiple=True, metavar="ROOM_ID", help="A room the newcomer is invited to on arrival.")
@click.option("--token-only", is_flag=True, help="Print the bare registration token instead of a link.")
def invite(  # noqa: PLR0913 (one parameter per option, as click has it)
    config_file: Path | None,
    overrides: tuple[str, ...],
    uses: int | None,
    days: float | None,
    label: str,
    admin: bool,
    inviter: str | None,
    rooms: tuple[str, ...],
    token_only: bool,
) -> None:
    """Make an invitation and print its link. The secret in it is shown this once."""
    if rooms and inviter is None:
        raise click.UsageError("--room needs --by: somebody in the room must invite.")
    config = load_config(config_file, overrides)
    command = create_command(config, uses=uses, days=days, label=label, admin=admin, inviter=inviter, rooms=rooms)

    async def make(book: Invitations, audit: AuditLog) -> str:
        async with audit.act(Deed(None, "invitation.create")) as entry:
            entry.add(uses_allowed=command.uses_allowed, grants_admin=command.grants_admin, label=command.label)
            return (await book.create(command, entry)).token

    token = with_invitations(config, make)
    click.echo(token if token_only else invitation_link(config.base_url, token))


@click.command()
@CONFIG_OPTION
@SET_OPTION
def invitations(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """List invitations: number, uses, until when, by whom, for whom."""
    config = load_config(config_file, overrides)

    async def listed(book: Invitations, _: AuditLog) -> list[str]:
        return [_line(invitation) for invitation in await book.list()]

    for line in with_invitations(config, listed) or ["There are no invitations."]:
        click.echo(line)


def _line(invitation: Invitation) -> str:
    allowed = "any" if invitation.uses_allowed is None else str(invitation.uses_allowed)
    until = "for ever" if invitation.expires_ts is None else f"until {_day(invitation.expires_ts)}"
    state = "revoked" if invitation.revoked_ts is not None else until
    who = invitation.created_by or "the operator"
    return f"{invitation.invitation_id:>5}  {invitation.uses_completed}/{allowed} used  {state}  by {who}  {invitation.label}"


def _day(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


@click.command()
@CONFIG_OPTION
@SET_OPTION
@click.argument("number", type=int)
def revoke(config_file: Path | None, overrides: tuple[str, ...], number: int) -> None:
    """End an invitation by its NUMBER in `watchword invitations`."""
    config = load_config(config_file, overrides)

    async def end(book: Invitations, audit: AuditLog) -> bool:
        async with audit.act(Deed(None, "invitation.revoke", str(number))) as entry:
            return await book.revoke(number, entry)

    if not with_invitations(config, end):
        raise click.ClickException(f"There is no open invitation {number}.")
    click.echo(f"Invitation {number} is revoked.")
