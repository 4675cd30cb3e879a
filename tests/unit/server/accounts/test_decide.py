"""The rules of accounts, every branch."""

from typing import Any

import pytest

from watchword.protocol.ids import ServerName, UserId
from watchword.server.accounts import decide
from watchword.server.accounts.commands import (
    Account,
    AccountSettings,
    CaptchaSettings,
    IdentityProvider,
    Invitation,
    Policy,
    PolicyText,
    PresenceState,
    Refused,
    RegistrationMode,
)
from watchword.server.accounts.threepids.commands import ThreepidSettings, Wanted

HERE = ServerName("here.example")
ALICE = UserId("@alice:here.example")


def errcode(answer: object) -> str | None:
    return answer.errcode if isinstance(answer, Refused) else None


@pytest.mark.parametrize(
    ("name", "user_id"),
    [("alice", "@alice:here.example"), ("ALICE", "@alice:here.example"), ("a.b_c=d-e/f+0", "@a.b_c=d-e/f+0:here.example")],
)
def test_a_wished_name_becomes_a_user_id(name: str, user_id: str) -> None:
    assert decide.new_user_id(name, HERE) == user_id


@pytest.mark.parametrize("name", ["", "é", "İ", "a b", "a:b", "@a", "a" * 243, "a" * 256, "\ud800", "a\x00"])
def test_names_outside_the_grammar_or_too_long_are_refused(name: str) -> None:
    assert errcode(decide.new_user_id(name, HERE)) == "M_INVALID_USERNAME"


@pytest.mark.parametrize(
    "body",
    [
        {"identifier": {"type": "m.id.user", "user": "alice"}},
        {"identifier": {"type": "m.id.user", "user": "Alice"}},
        {"identifier": {"type": "m.id.user", "user": "@alice:here.example"}},
        {"user": "alice"},
        {"user": "@alice:here.example"},
    ],
)
def test_a_login_names_its_user_in_every_form(body: dict[str, Any]) -> None:
    assert decide.login_user_id(body, HERE) == ALICE


@pytest.mark.parametrize(
    "body",
    [
        {"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "a@b"}},
        {"identifier": {"type": "m.id.phone"}},
        {"medium": "email", "address": "a@b"},
        {"user": "@alice:elsewhere.example"},
        {"user": "@alice"},
        {"user": "a\x00b"},
        {"user": "x" * 300},
    ],
)
def test_who_cannot_be_ours_is_nobody(body: dict[str, Any]) -> None:
    assert decide.login_user_id(body, HERE) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"identifier": 5}, "M_BAD_JSON"),
        ({"identifier": {}}, "M_UNKNOWN"),
        ({"identifier": {"type": "m.id.star_sign"}}, "M_UNKNOWN"),
        ({"identifier": {"type": "m.id.user"}}, "M_MISSING_PARAM"),
        ({"identifier": {"type": "m.id.user", "user": ["a"]}}, "M_BAD_JSON"),
    ],
)
def test_a_login_without_a_readable_user_is_refused(body: dict[str, Any], expected: str) -> None:
    assert errcode(decide.login_user_id(body, HERE)) == expected


def test_passwords_have_bounds_on_both_sides() -> None:
    assert decide.password_refusal("x" * 8, 8) is None
    assert errcode(decide.password_refusal("x" * 7, 8)) == "M_WEAK_PASSWORD"
    assert errcode(decide.password_refusal("x" * 1_025, 8)) == "M_INVALID_PARAM"


def test_device_names_have_a_bound() -> None:
    assert decide.device_name_refusal(None) is None
    assert decide.device_name_refusal("Laptop") is None
    assert errcode(decide.device_name_refusal("x" * 257)) == "M_INVALID_PARAM"


def flows(mode: RegistrationMode, **changed: Any) -> Any:
    return decide.registration_flows(AccountSettings(HERE, registration=mode, **changed))


POLICIES = (Policy("privacy", "1.1", {"en": PolicyText("Privacy", "https://here.example/privacy")}),)
A_CAPTCHA = CaptchaSettings("site", "secret", "https://captcha.example/verify", "https://captcha.example/api.js")


def test_each_mode_of_registration_has_its_flows() -> None:
    assert flows(RegistrationMode.OPEN) == (("m.login.dummy",), ("m.login.registration_token", "m.login.dummy"))
    assert flows(RegistrationMode.INVITATION) == (("m.login.registration_token", "m.login.dummy"),)
    assert errcode(flows(RegistrationMode.CLOSED)) == "M_FORBIDDEN"


def test_an_optional_address_makes_further_flows_and_a_dummy_tells_them_apart() -> None:
    wanted = ThreepidSettings(email=True, email_at_registration=Wanted.OPTIONAL)
    assert flows(RegistrationMode.INVITATION, threepids=wanted) == (
        ("m.login.registration_token", "m.login.dummy"),
        ("m.login.registration_token", "m.login.email.identity"),
    )


def test_a_required_address_is_in_every_flow_but_only_where_messages_can_be_sent() -> None:
    wanted = ThreepidSettings(msisdn=True, email_at_registration=Wanted.REQUIRED, msisdn_at_registration=Wanted.REQUIRED)
    assert flows(RegistrationMode.OPEN, threepids=wanted) == (
        ("m.login.msisdn", "m.login.dummy"),
        ("m.login.registration_token", "m.login.msisdn"),
    )


def test_strangers_solve_a_captcha_and_everybody_agrees_to_the_policies() -> None:
    assert flows(RegistrationMode.OPEN, policies=POLICIES, captcha=A_CAPTCHA) == (
        ("m.login.recaptcha", "m.login.terms"),
        ("m.login.registration_token", "m.login.terms"),
    )


def test_stages_come_with_what_a_client_must_know() -> None:
    settings = AccountSettings(HERE, policies=POLICIES, captcha=A_CAPTCHA)
    assert decide.stage_params(settings, (("m.login.terms", "m.login.recaptcha"),)) == {
        "m.login.terms": {
            "policies": {"privacy": {"version": "1.1", "en": {"name": "Privacy", "url": "https://here.example/privacy"}}}
        },
        "m.login.recaptcha": {"public_key": "site"},
    }
    assert decide.stage_params(settings, (("m.login.password",),)) == {}
    assert decide.stage_params(AccountSettings(HERE), (("m.login.recaptcha",),)) == {}


def test_a_flow_is_complete_when_all_its_stages_are() -> None:
    flows = (("a", "b"), ("c",))
    assert not decide.is_complete(flows, ["a"])
    assert decide.is_complete(flows, ["b", "a"])
    assert decide.is_complete(flows, ["c"])


@pytest.mark.parametrize(
    ("token", "is_one"), [("aZ0._~-", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("ä", False)]
)
def test_registration_tokens_have_their_grammar(token: str, is_one: bool) -> None:
    assert decide.is_registration_token(token) is is_one


def test_invitations_are_made_within_bounds() -> None:
    assert decide.invitation_refusal(None, "", [], None) is None
    assert decide.invitation_refusal(1, "for Bob", ["!r:x"], "hello") is None
    for uses, label, rooms, token in (
        (0, "", 0, None),
        (10**7, "", 0, None),
        (1, "x" * 257, 0, None),
        (1, "", 51, None),
        (1, "", 0, " "),
    ):
        assert errcode(decide.invitation_refusal(uses, label, ["!r:x"] * rooms, token)) == "M_INVALID_PARAM"


def an_invitation(**changed: Any) -> Invitation:
    values: dict[str, Any] = {
        "invitation_id": 1,
        "uses_allowed": 1,
        "uses_completed": 0,
        "created_ts": 0,
        "expires_ts": None,
        "revoked_ts": None,
        "created_by": None,
        "label": "",
        "invite_to": (),
        **changed,
    }
    return Invitation(**values)


def test_an_invitation_is_open_until_it_is_used_up_expired_or_revoked() -> None:
    assert decide.invitation_is_open(an_invitation(), 10)
    assert decide.invitation_is_open(an_invitation(uses_allowed=None, uses_completed=99), 10)
    assert decide.invitation_is_open(an_invitation(expires_ts=11), 10)
    assert not decide.invitation_is_open(an_invitation(expires_ts=10), 10)
    assert not decide.invitation_is_open(an_invitation(revoked_ts=1), 10)
    assert not decide.invitation_is_open(an_invitation(uses_completed=1), 10)
    assert not decide.invitation_is_open(an_invitation(uses_pending=1), 10)


def moderation(**changed: Any) -> str | None:
    values: dict[str, Any] = {
        "by_admin": True,
        "is_local": True,
        "is_self": False,
        "target": Account(ALICE, None, 0),
        "changes": True,
        **changed,
    }
    return errcode(decide.moderation_refusal(**values))


def test_only_administrators_moderate_others_who_are_not() -> None:
    assert moderation() is None
    assert moderation(by_admin=False, target=None) == "M_FORBIDDEN"
    assert moderation(by_admin=False, is_local=False, target=None) == "M_FORBIDDEN"
    assert moderation(is_local=False, target=None) == "M_INVALID_PARAM"
    assert moderation(is_self=True) == "M_FORBIDDEN"
    assert moderation(target=None) == "M_NOT_FOUND"
    assert moderation(target=Account(ALICE, None, 0, is_deactivated=True)) == "M_NOT_FOUND"
    assert moderation(target=Account(ALICE, None, 0, is_admin=True)) == "M_FORBIDDEN"
    assert moderation(target=Account(ALICE, None, 0, is_admin=True), is_self=True, changes=False) is None


def test_profile_keys_follow_the_grammar() -> None:
    assert decide.profile_key_refusal("displayname") is None
    assert decide.profile_key_refusal("m.tz") is None
    assert errcode(decide.profile_key_refusal("x" * 256)) == "M_KEY_TOO_LARGE"
    for key in ("Upper", "1st", "", "a b", "é", "\ud800"):
        assert errcode(decide.profile_key_refusal(key)) == "M_INVALID_PARAM"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("displayname", "Алиса", None),
        ("displayname", None, None),
        ("displayname", 5, "M_BAD_JSON"),
        ("displayname", "x" * 257, "M_INVALID_PARAM"),
        ("avatar_url", "mxc://here.example/abc", None),
        ("avatar_url", "", None),
        ("avatar_url", "https://here.example/abc", "M_INVALID_PARAM"),
        ("avatar_url", "mxc://here.example/" + "x" * 1_000, "M_INVALID_PARAM"),
        ("avatar_url", {}, "M_BAD_JSON"),
        ("m.tz", "Europe/Vilnius", None),
        ("m.tz", "UTC", None),
        ("m.tz", "Europe/", "M_INVALID_PARAM"),
        ("m.tz", "x" * 256, "M_INVALID_PARAM"),
        ("org.example.anything", {"a": [1, None]}, None),
    ],
)
def test_profile_values_have_the_shape_of_their_key(key: str, value: object, expected: str | None) -> None:
    assert errcode(decide.profile_value_refusal(key, value)) == expected


def test_the_size_of_a_profile_is_at_least_that_of_its_json() -> None:
    assert decide.profile_bytes({"a": b"1", "b": b'"x"'}) >= len(b'{"a":1,"b":"x"}')


def test_clients_do_not_write_what_the_server_controls() -> None:
    assert decide.account_data_refusal("m.direct") is None
    for data_type in ("m.fully_read", "m.push_rules"):
        refused = decide.account_data_refusal(data_type)
        assert refused is not None
        assert (refused.errcode, refused.status) == ("M_BAD_JSON", 405)
    assert errcode(decide.account_data_refusal("x" * 256)) == "M_INVALID_PARAM"


@pytest.mark.parametrize(
    ("tag", "content", "expected"),
    [
        ("m.favourite", {}, None),
        ("m.favourite", {"order": None}, None),
        ("u.work", {"order": 0.25, "more": 1}, None),
        ("u.work", {"order": 1}, None),
        ("u.work", {"order": 1.5}, "M_INVALID_PARAM"),
        ("u.work", {"order": float("nan")}, "M_INVALID_PARAM"),
        ("u.work", {"order": True}, "M_BAD_JSON"),
        ("u.work", {"order": "0.1"}, "M_BAD_JSON"),
        ("", {}, "M_INVALID_PARAM"),
        ("é" * 128, {}, "M_INVALID_PARAM"),
    ],
)
def test_tags_have_a_name_and_an_order(tag: str, content: dict[str, Any], expected: str | None) -> None:
    assert errcode(decide.tag_refusal(tag, content)) == expected


def test_unreadable_account_data_reads_as_empty() -> None:
    assert decide.tags_in({"tags": {"a": {}}}) == {"a": {}}
    assert decide.tags_in({"tags": 5}) == {}
    assert decide.ignored_users_in({"ignored_users": {ALICE: {}}}) == {ALICE}
    assert decide.ignored_users_in({"ignored_users": [ALICE]}) == frozenset()


def test_presence_is_one_of_three_with_a_short_message() -> None:
    assert decide.presence_refusal("online", "here") is None
    assert decide.presence_refusal("offline", None) is None
    assert errcode(decide.presence_refusal("asleep", None)) == "M_INVALID_PARAM"
    assert errcode(decide.presence_refusal("online", "x" * 1_025)) == "M_INVALID_PARAM"


def test_who_gives_no_sign_of_life_becomes_unavailable_and_then_offline() -> None:
    online = PresenceState("online", "hi", 0, currently_active=True)
    assert decide.rested(online, 299_999) is online
    away = decide.rested(online, 300_000)
    assert away == PresenceState("unavailable", "hi", 0, currently_active=False)
    assert decide.rested(away, 599_999) is away
    gone = decide.rested(away, 600_000)
    assert gone == PresenceState("offline", "hi", 0, currently_active=False)
    assert decide.rested(gone, 10**9) is gone


def test_the_ways_to_log_in_follow_from_the_settings() -> None:
    appservice = {"type": "m.login.application_service"}
    assert decide.login_flows(AccountSettings(HERE)) == [{"type": "m.login.password"}, appservice]
    tokens = {"type": "m.login.token", "get_login_token": True}
    assert decide.login_flows(AccountSettings(HERE, password_login=False, login_tokens=True)) == [tokens, appservice]
    providers = (IdentityProvider("a", "A", icon="mxc://here/a", brand="github"), IdentityProvider("b", "B"))
    sso, token, _ = decide.login_flows(AccountSettings(HERE, password_login=False, identity_providers=providers))
    assert sso["identity_providers"] == [
        {"id": "a", "name": "A", "icon": "mxc://here/a", "brand": "github"},
        {"id": "b", "name": "B"},
    ]
    assert sso["oauth_aware_preferred"] is True
    assert token == {"type": "m.login.token"}
