"""The doors of an account as a whole, where no service decides."""

from typing import Any

V3 = "/_matrix/client/v3"


async def test_a_server_without_passwords_changes_none(houses: Any) -> None:
    other = await houses(password_login=False)
    answer = await other.call("POST", f"{V3}/account/password", {"new_password": "battery staple"})
    assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN")
