"""Pages and their headers."""

from tests.unit.server.oauth.world import World
from watchword.base.errors import Forbidden, LimitExceeded
from watchword.server.oauth.browsers import Visit

KNOWN, NEW = Visit("t", is_new=False), Visit("t", is_new=True)


def test_a_page_loads_our_style_and_stands_in_no_frame(world: World) -> None:
    reply = world.oauth.pages.message(KNOWN, "A title", "A <b>text</b>.")
    assert reply.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in reply.headers
    assert "A &lt;b&gt;text&lt;/b&gt;." in reply.body.decode()


def test_a_new_browser_gets_its_cookie_with_pages_and_redirects(world: World) -> None:
    assert "set-cookie" in world.oauth.pages.message(NEW, "A", "B").headers
    reply = world.oauth.pages.go(NEW, "/x")
    assert (reply.status, reply.headers["location"]) == (303, "/x")
    assert "set-cookie" in reply.headers
    assert "set-cookie" not in world.oauth.pages.go(KNOWN, "/x").headers


def test_a_refusal_says_when_to_come_back(world: World) -> None:
    assert "in 1 minute." in world.oauth.pages.sorry(KNOWN, LimitExceeded(1)).body.decode()
    assert "in 2 minutes." in world.oauth.pages.sorry(KNOWN, LimitExceeded(60_001)).body.decode()
    assert world.oauth.pages.sorry(KNOWN, Forbidden("No.")).status == 403


def test_the_style_sheet_loads_nothing_from_elsewhere(world: World) -> None:
    style = world.oauth.pages.style.decode()
    assert "url(" not in style
    assert "@import" not in style
