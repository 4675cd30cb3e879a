"""Invitations: made once, shown once, counted."""

from typing import Any

import pytest

from watchword.base.errors import BadRequest, Conflict
from watchword.server.accounts.commands import CreateInvitation
from watchword.server.accounts.invitations import invitation_link


async def test_a_token_is_shown_once_and_stored_hashed(house: Any) -> None:
    made = await house.accounts.invitations.create(
        CreateInvitation(created_by="@root:here.example", uses_allowed=3, label="for Bob", invite_to=("!a:b", "!c:d"))  # type: ignore[arg-type]
    )
    listed = await house.accounts.invitations.list()
    assert [(item.invitation_id, item.label, item.uses_allowed, list(item.invite_to)) for item in listed] == [
        (made.invitation.invitation_id, "for Bob", 3, ["!a:b", "!c:d"])
    ]
    async with house.database.read() as tx:
        rows = await tx.fetch_all("SELECT * FROM invitations")
    assert made.token not in str(rows)


async def test_an_operator_may_choose_the_token_but_not_twice(house: Any) -> None:
    assert (await house.accounts.invitations.create(CreateInvitation(token="welcome"))).token == "welcome"
    with pytest.raises(Conflict):
        await house.accounts.invitations.create(CreateInvitation(token="welcome"))
    with pytest.raises(BadRequest):
        await house.accounts.invitations.create(CreateInvitation(token="not a token"))


async def test_a_revoked_invitation_stays_in_the_list(house: Any) -> None:
    made = await house.accounts.invitations.create(CreateInvitation())
    assert await house.accounts.invitations.revoke(made.invitation.invitation_id)
    assert not await house.accounts.invitations.revoke(made.invitation.invitation_id)
    assert not await house.accounts.invitations.revoke(99)
    assert not await house.accounts.invitations.is_valid(made.token)
    assert (await house.accounts.invitations.list())[0].revoked_ts == house.clock.now_ms()


async def test_reservations_count_as_pending_until_released(house: Any) -> None:
    invitations = house.accounts.invitations
    made = await invitations.create(CreateInvitation(uses_allowed=2))
    number = await invitations.reserve(made.token, "one")
    assert await invitations.reserve(made.token, "two") == number
    assert await invitations.reserve(made.token, "three") is None
    assert (await invitations.list())[0].uses_pending == 2
    for _ in range(2):
        invitations.release(number, "one")
    assert await invitations.reserve(made.token, "three") == number
    invitations.release(99, "one")


async def test_the_newest_is_listed_first(house: Any) -> None:
    for label in ("first", "second"):
        await house.accounts.invitations.create(CreateInvitation(label=label))
    assert [item.label for item in await house.accounts.invitations.list(1)] == ["second"]


def test_the_secret_of_a_link_stands_in_its_fragment() -> None:
    link = invitation_link("https://chat.example/", "s3cret")
    assert link == "https://chat.example/_watchword/register#token=s3cret"
    assert "s3cret" not in link.partition("#")[0]


async def test_an_invitation_is_found_by_its_token_or_its_number(house: Any) -> None:
    token = await house.invitation(label="choir")
    invitations = house.accounts.invitations
    assert (await invitations.one(token)).label == "choir"
    assert (await invitations.one("~1")).label == "choir"
    for name in ("1", "~2", "~", "~x", "~" + "9" * 30, "nonsense"):
        assert await invitations.one(name) is None


async def test_an_invitation_may_be_good_for_longer_and_for_more(house: Any) -> None:
    token = await house.invitation(uses_allowed=1, expires_ts=house.clock.now_ms() + 1)
    house.clock.advance(10)
    assert not await house.accounts.invitations.is_valid(token)
    await house.accounts.invitations.change(1, uses_allowed=3, expires_ts=None)
    assert await house.accounts.invitations.is_valid(token)
    with pytest.raises(BadRequest):
        await house.accounts.invitations.change(1, uses_allowed=-1, expires_ts=None)
