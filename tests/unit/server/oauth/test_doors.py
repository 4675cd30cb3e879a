"""What every page has in common."""

from tests.unit.server.oauth.world import P, World
from watchword.edge.endpoint import Auth, Body, Rate
from watchword.edge.replies import Reply
from watchword.server.oauth.assembly import OAuth
from watchword.server.oauth.doors import Asked, page, with_query


async def nothing(asked: Asked, oauth: OAuth) -> Reply:
    return Reply.EMPTY


def test_a_row_for_a_page_asks_for_no_token() -> None:
    row = page("POST", "/x", nothing, rate=Rate.LOGIN, spec="s")
    assert (row.auth, row.rate, row.body, row.spec) == (Auth.NONE, Rate.NONE, Body.STREAM, "s")
    assert page("GET", "/x", nothing).body is Body.NONE


def test_a_path_with_a_query() -> None:
    assert with_query("/a", b="c d", e=None) == "/a?b=c+d"
    assert with_query("/a", e=None) == "/a"


async def test_a_query_that_cannot_be_read_is_a_page_too(world: World) -> None:
    answer = await world.browser().get(f"{P}/sign-in?%ff=1")
    assert (answer.status, answer.title) == (400, "That did not work")


async def test_who_is_not_signed_in_comes_back_after_the_sign_in_with_the_whole_address(world: World) -> None:
    browser = world.browser()
    await browser.get(f"{P}/account?action=org.matrix.device_view&device_id=A")
    assert browser.fields()["next"] == f"{P}/account?action=org.matrix.device_view&device_id=A"
    answer = await browser.post(f"{P}/account", f"form_token={browser.fields()['form_token']}")
    assert answer.title == "Sign in"
    assert browser.fields()["next"] == f"{P}/account"
