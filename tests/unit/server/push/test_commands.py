from watchword.base.errors import BadRequest
from watchword.protocol.ids import UserId
from watchword.server.push.commands import NOTHING_UNREAD, Pusher, PusherForm, PusherKey, Refused, Unread


def test_nothing_is_unread_only_if_no_thread_has_anything() -> None:
    assert NOTHING_UNREAD.is_nothing
    assert not Unread(1).is_nothing
    assert not Unread(0, 0, {"$root": (1, 0)}).is_nothing


def test_a_pusher_shows_its_tag_only_if_it_has_one() -> None:
    key = PusherKey(UserId("@a:b"), "app", "key")
    form = PusherForm("http", "App", "Phone", "", "en", {"url": "x"})
    assert Pusher(1, key, None, form, 0).to_json() == {
        "app_id": "app",
        "pushkey": "key",
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": "x"},
    }
    tagged = PusherForm("http", "App", "Phone", "work", "en", {})
    assert Pusher(1, key, None, tagged, 0).to_json()["profile_tag"] == "work"


def test_a_refusal_becomes_an_error_at_the_door() -> None:
    error = Refused("M_INVALID_PARAM", "No.").error()
    assert isinstance(error, BadRequest)
    assert error.errcode == "M_INVALID_PARAM"
