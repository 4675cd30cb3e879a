from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.cli.conftest import Run
from watchword.base.clock import SystemClock
from watchword.cli.invite import create_command
from watchword.cli.serve import load_config


def test_a_link_keeps_its_secret_in_the_fragment(run: Run, settings: Path) -> None:
    link = urlsplit(run("invite", "-c", settings).output.strip())
    token = parse_qs(link.fragment)["token"][0]
    assert link.hostname == "a.example"
    assert len(token) >= 20
    assert token not in link.path + link.query


def test_the_token_may_be_printed_alone(run: Run, settings: Path) -> None:
    token = run("invite", "-c", settings, "--token-only").output.strip()
    assert token
    assert "/" not in token


def test_invitations_are_listed_with_their_uses_and_without_their_secret(run: Run, settings: Path) -> None:
    assert run("invitations", "-c", settings).output == "There are no invitations.\n"
    token = run("invite", "-c", settings, "--token-only", "--uses", "3", "--label", "the choir").output.strip()
    listed = run("invitations", "-c", settings).output
    assert "0/3 used" in listed
    assert "until " in listed
    assert "by the operator" in listed
    assert "the choir" in listed
    assert token not in listed
    assert all(token.encode() not in file.read_bytes() for file in (settings.parent / "data").rglob("*") if file.is_file())


def test_a_revoked_invitation_is_listed_as_such_and_cannot_be_revoked_again(run: Run, settings: Path) -> None:
    run("invite", "-c", settings)
    number = run("invitations", "-c", settings).output.split()[0]
    assert run("revoke", "-c", settings, number).output == f"Invitation {number} is revoked.\n"
    assert "revoked" in run("invitations", "-c", settings).output
    again = run("revoke", "-c", settings, number)
    assert again.exit_code == 1
    assert f"There is no open invitation {number}." in again.output


@pytest.mark.parametrize("options", [("--uses", "0"), ("--days", "0"), ("--room", "!room:a.example")])
def test_an_invitation_that_makes_no_sense_is_not_made(run: Run, settings: Path, options: tuple[str, ...]) -> None:
    assert run("invite", "-c", settings, *options).exit_code == 2
    assert run("invitations", "-c", settings).output == "There are no invitations.\n"


def test_what_is_not_said_comes_from_the_settings(settings: Path) -> None:
    config = load_config(settings, ("registration.invitation_uses=7", "registration.invitation_lifetime_ms=60000"))
    before_ms = SystemClock().now_ms()
    made = create_command(config, uses=None, days=None, label="", admin=False, inviter=None, rooms=())
    assert made.uses_allowed == 7
    assert made.expires_ts is not None
    assert 60_000 <= made.expires_ts - before_ms < 70_000
    chosen = create_command(config, uses=2, days=0.5, label="", admin=True, inviter=None, rooms=())
    assert (chosen.uses_allowed, chosen.grants_admin) == (2, True)
    assert chosen.expires_ts is not None
    assert abs(chosen.expires_ts - before_ms - 43_200_000) < 10_000
