from watchword.base.errors import BadRequest
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.push.commands import NOTHING_UNREAD, Pusher, PusherForm, PusherKey, PushSettings, Refused, Unread


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
        "org.matrix.msc3881.enabled": True,
        "org.matrix.msc3881.device_id": None,
    }
    tagged = PusherForm("http", "App", "Phone", "work", "en", {})
    assert Pusher(1, key, None, tagged, 0).to_json()["profile_tag"] == "work"


def test_a_refusal_becomes_an_error_at_the_door() -> None:
    error = Refused("M_INVALID_PARAM", "No.").error()
    assert isinstance(error, BadRequest)
    assert error.errcode == "M_INVALID_PARAM"


def test_a_pusher_shows_its_session_unless_it_mails() -> None:
    key = PusherKey(UserId("@a:b"), "app", "key")
    shown = [
        Pusher(1, key, DeviceId("PHONE"), PusherForm(kind, "", "", "", "", {}, enabled=False), 0).to_json()
        for kind in ("http", "email")
    ]
    assert [each["org.matrix.msc3881.device_id"] for each in shown] == ["PHONE", None]
    assert not any(each["org.matrix.msc3881.enabled"] for each in shown)


def test_there_is_no_need_for_a_switch_where_nothing_is_chosen() -> None:
    assert PushSettings().digests is None
    assert ".m.rule.master" in [rule.rule_id for rule in PushSettings().predefined["override"]]
