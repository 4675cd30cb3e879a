"""The doors for newcomers, where no service decides."""

from typing import Any

V3 = "/_matrix/client/v3"


async def test_a_kind_of_account_that_nobody_knows_is_refused(house: Any) -> None:
    answer = await house.call("POST", f"{V3}/register", {}, kind="robot")
    assert (answer.status, answer.body["errcode"]) == (400, "M_INVALID_PARAM")


async def test_a_token_to_look_at_must_be_named(house: Any) -> None:
    answer = await house.call("GET", "/_matrix/client/v1/register/m.login.registration_token/validity")
    assert (answer.status, answer.body["errcode"]) == (400, "M_MISSING_PARAM")
