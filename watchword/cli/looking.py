"""`watchword users`, `reports`, `audit`: what an operator looks at without HTTP, whether the server runs or not.

They read the server's database beside it. A report may hold what somebody said: looking at one is in the audit log, too.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import click

from watchword.base.clock import SystemClock
from watchword.base.config import Config
from watchword.base.errors import StorageError
from watchword.cli.columns import moment, printable, table
from watchword.cli.serve import CONFIG_OPTION, SET_OPTION, load_config
from watchword.edge.auditing import Deed
from watchword.protocol.ids import parse_user_id
from watchword.server.accounts.commands import AccountQuery, Listed
from watchword.server.accounts.listing import AccountListing, shown_text
from watchword.server.admin.audit import AuditLog
from watchword.server.admin.commands import AuditEntry, AuditQuery
from watchword.server.app import SCHEMAS
from watchword.server.moderation.commands import Kind, Report, ReportQuery
from watchword.server.moderation.queue import ReportQueue
from watchword.storage import Database, SqliteDatabase, migrate
from watchword.storage.folder import FolderClaim

T = TypeVar("T")
LIMIT_OPTION = click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="How many lines at most."
)


def with_database(config: Config, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with a server's database, whether it runs or not. Raises ClickException if there is none."""
    if not config.database_path.exists():
        raise click.ClickException(f"There is no server in {config.data_dir} yet: start it once with `watchword up`.")

    async def run() -> T:
        database = SqliteDatabase(config.database_path)
        try:
            # A database of before is brought up to date, unless a server of before is using it.
            with suppress(StorageError):
                claim = FolderClaim(Path(config.data_dir), config.server_name)
                try:
                    await migrate(database, SCHEMAS)
                finally:
                    claim.release()
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def audit_log(config: Config, database: Database) -> AuditLog:
    """The audit log of a server."""
    return AuditLog(database, SystemClock(), config.admin.audit_kept_ms)


# Users


@click.command()
@CONFIG_OPTION
@SET_OPTION
@click.option("--search", metavar="TEXT", help="Only names and display names with this in them.")
@click.option("--admins", is_flag=True, help="Only administrators.")
@click.option("--locked", is_flag=True, help="Only accounts that are locked.")
@click.option("--suspended", is_flag=True, help="Only accounts that are suspended.")
@click.option("--deactivated", is_flag=True, help="Deactivated accounts instead of the others.")
@click.option(
    "--order",
    type=click.Choice(["name", "created", "seen"]),
    default="name",
    show_default=True,
    help="By name, the newest first, or who was seen last first.",
)
@LIMIT_OPTION
def users(  # noqa: PLR0913 (one parameter per option, as click has it)
    config_file: Path | None,
    overrides: tuple[str, ...],
    search: str | None,
    admins: bool,
    locked: bool,
    suspended: bool,
    deactivated: bool,
    order: str,
    limit: int,
) -> None:
    """List the users of this server: since when, when last seen, how they stand.

    Times are UTC. A guest came without an account of his own; "locked" can do nothing but log out, "suspended" can read
    but not write.
    """
    query = AccountQuery(
        name=search,
        admins=True if admins else None,
        locked=True if locked else None,
        suspended=True if suspended else None,
        deactivated=deactivated,
        order_by={"name": "name", "created": "creation_ts", "seen": "last_seen_ts"}[order],
        backwards=order != "name",
        limit=limit,
    )
    config = load_config(config_file, overrides)
    found, total = with_database(config, lambda database: AccountListing(database, SystemClock()).page(query))
    if not found:
        click.echo("There are no such users.")
        return
    rows = [(each.user_id, moment(each.created_ts), moment(each.last_seen_ts), _standing(each), _name(each)) for each in found]
    click.echo(table(("USER", "SINCE", "SEEN", "STANDING", "NAME"), rows))
    _tell_rest(len(found), total)


def _standing(listed: Listed) -> str:
    words = {
        "admin": listed.is_admin,
        "guest": listed.is_guest,
        "bridge": listed.appservice_id is not None,
        "locked": listed.is_locked,
        "suspended": listed.is_suspended,
        "deactivated": listed.is_deactivated,
        "erased": listed.is_erased,
    }
    return " ".join(word for word, holds in words.items() if holds) or "-"


def _name(listed: Listed) -> str:
    return shown_text(listed.displayname) or ""


def _tell_rest(shown: int, total: int) -> None:
    if total > shown:
        click.echo(f"… and {total - shown} more: use --limit.")


# Reports


@click.command()
@CONFIG_OPTION
@SET_OPTION
@click.argument("number", type=int, required=False)
@click.option("--handled", is_flag=True, help="Those that somebody has dealt with, instead of the open ones.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only reports of events, rooms or users.")
@LIMIT_OPTION
def reports(
    config_file: Path | None, overrides: tuple[str, ...], number: int | None, handled: bool, kind: str | None, limit: int
) -> None:
    """List what users reported, the oldest first; or show the report with this NUMBER.

    A report of an event holds the event as its reporter saw it; of an encrypted one nobody here can read the text.
    """
    config = load_config(config_file, overrides)
    if number is not None:
        _show_report(config, number)
        return
    query = ReportQuery(None if kind is None else Kind(kind), handled, oldest_first=True, limit=limit)
    found, total = with_database(config, lambda database: ReportQueue(database, SystemClock()).newest(query))
    if not found:
        click.echo("There are no such reports.")
        return
    click.echo(table(("NUMBER", "WHEN", "OF", "WHAT", "BY", "REASON"), [_report_line(each) for each in found]))
    _tell_rest(len(found), total)


def _report_line(report: Report) -> Sequence[str]:
    what = report.what
    of = what.user_id or what.room_id or "-"
    return str(report.report_id), moment(report.received_ts), what.kind.value, of, what.reporter, what.reason


def _show_report(config: Config, number: int) -> None:
    async def show(database: Database) -> Report | None:
        async with audit_log(config, database).act(Deed(None, "report.show", str(number))):
            return await ReportQueue(database, SystemClock()).one(number)

    found = with_database(config, show)
    if found is None:
        raise click.ClickException(f"There is no report {number}.")
    what = found.what
    handled = f"{moment(found.handled_ts)} by {found.handled_by}" if found.handled_ts is not None else "not yet"
    for name, value in (
        ("Report", f"{number}, {moment(found.received_ts)}"),
        ("By", what.reporter),
        ("Reason", printable(what.reason)),
        ("Room", what.room_id),
        ("Event", what.event_id),
        ("User", what.user_id),
        ("Dealt with", handled),
    ):
        if value:
            click.echo(f"{name + ':':12}{value}")
    if what.event is not None:
        click.echo(json.dumps(json.loads(what.event), indent=2))


# The audit log


@click.command()
@CONFIG_OPTION
@SET_OPTION
@click.option("--by", metavar="USER_ID", help="Only what this administrator did.")
@click.option("--whom", metavar="NAME", help="Only what was done to this user, room, file or report.")
@click.option("--action", metavar="ACTION", help="Only this, as in user.lock; or a group, as in user.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@LIMIT_OPTION
def audit(
    config_file: Path | None,
    overrides: tuple[str, ...],
    by: str | None,
    whom: str | None,
    action: str | None,
    as_json: bool,
    limit: int,
) -> None:
    """Show what administrators did and saw, the newest first.

    The outcome is "done", or the error of what was refused. An act by "-" was the operator's, at the machine or with the
    shared secret.
    """
    config = load_config(config_file, overrides)
    query = AuditQuery(0, limit, None if by is None else parse_user_id(by), whom, action)
    found = with_database(config, lambda database: audit_log(config, database).page(query))
    if as_json:
        for entry in found:
            click.echo(json.dumps(_as_json(entry)))
        return
    if not found:
        click.echo("There are no such entries.")
        return
    click.echo(table(("WHEN", "WHO", "WHAT", "OUTCOME", "FROM", "WHOM"), [_line(entry) for entry in found]))


def _line(entry: AuditEntry) -> Sequence[str]:
    details = " ".join(f"{name}={value}" for name, value in entry.details.items() if value not in (None, ""))
    whom = f"{entry.whom}  {details}" if details else entry.whom
    return moment(entry.ts), entry.by or "-", entry.action, entry.outcome, entry.address or "-", whom


def _as_json(entry: AuditEntry) -> dict[str, object]:
    return {
        "entry_id": entry.entry_id,
        "ts": entry.ts,
        "by": entry.by,
        "action": entry.action,
        "whom": entry.whom,
        "outcome": entry.outcome,
        "address": entry.address,
        "details": dict(entry.details),
    }
