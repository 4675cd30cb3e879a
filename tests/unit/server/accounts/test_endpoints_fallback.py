"""The doors for newcomers, where no service decides."""

from typing import Any

PAGE = "/_matrix/client/v3/auth/m.login.registration_token/fallback/web"


async def test_the_page_of_a_form_runs_no_script_at_all(house: Any) -> None:
    answer = await house.call("GET", PAGE, session="x")
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_page_without_a_session_is_shown_and_leads_nowhere(house: Any) -> None:
    assert (await house.call("GET", PAGE)).status == 200
    assert (await house.call("POST", PAGE, form={})).status == 401


async def test_forms_with_wrong_bytes_or_too_many_fields_are_refused(house: Any) -> None:
    assert (await house.call("POST", PAGE, form={str(n): "x" for n in range(20)})).status == 400
