"""How a decision's "no" is raised."""

import pytest

from watchword.base.errors import BadRequest, Forbidden, NotFound, Refusal
from watchword.edge.mail import MailSettings
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.accounts.commands import AccountSettings, Refused, Tokens
from watchword.server.accounts.registration import Registration


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequest), (403, Forbidden), (404, NotFound), (405, Refusal)])
def test_a_refusal_is_raised_as_what_its_status_says(status: int, kind: type[Refusal]) -> None:
    error = Refused("M_X", "No.", status=status).error()
    assert type(error) is kind
    assert (error.status, error.errcode, error.text) == (status, "M_X", "No.")


def test_what_is_shown_of_settings_and_commands_has_no_secrets() -> None:
    shown = (
        AccountSettings(ServerName("here.example"), shared_secret="hush"),
        MailSettings("relay.example", "us@here.example", "here.example", user="us", password="hush"),
        Registration("alice", "hush", None, None, wants_login=True, refreshable=False, guest_token="hush"),
        Tokens(UserId("@alice:here.example"), DeviceId("D"), "hush", "hush", None),
    )
    assert "hush" not in repr(shown)
