"""The rules of OAuth: what may be registered, asked for and given."""

from typing import Any

import pytest

from tests.unit.server.oauth.world import CALLBACK, CHALLENGE, VERIFIER, WEB_CLIENT
from watchword.base import limits
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.oauth import decide
from watchword.server.oauth.commands import (
    DEVICE_CODE,
    AuthorizationRequest,
    Client,
    ClientMetadata,
    Code,
    DeviceGrant,
    DeviceGrantState,
    OAuthRefused,
    RefusedHere,
    RefusedThere,
    ReturnAddress,
    Scope,
)

HERE = ServerName("here.example")
SCOPE = Scope(DeviceId("PHONE"), "urn:matrix:client:api:* urn:matrix:client:device:PHONE")
NATIVE = {"application_type": "native", "client_uri": "https://client.example/"}


def metadata(**changed: Any) -> ClientMetadata:
    found = decide.client_metadata({**WEB_CLIENT, **changed})
    assert isinstance(found, ClientMetadata), found
    return found


def refused(**changed: Any) -> str:
    found = decide.client_metadata({**WEB_CLIENT, **changed})
    assert isinstance(found, OAuthRefused)
    return found.error


# Client registration


def test_grants_that_are_not_known_are_dropped() -> None:
    found = metadata()
    assert list(found.grant_types) == ["authorization_code", "refresh_token", DEVICE_CODE]
    assert found.json()["token_endpoint_auth_method"] == "none"


def test_what_is_left_out_has_the_defaults_of_the_specification() -> None:
    found = decide.client_metadata({"client_uri": "https://client.example/", "redirect_uris": [CALLBACK]})
    assert isinstance(found, ClientMetadata)
    assert (found.application_type, list(found.grant_types), found.client_name) == ("web", ["authorization_code"], None)
    assert "client_name" not in found.json()


def test_a_client_without_codes_needs_no_redirect_uri() -> None:
    found = metadata(redirect_uris=[], grant_types=[DEVICE_CODE])
    assert found.json()["response_types"] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"client_uri": None},
        {"client_uri": "http://client.example/"},
        {"client_uri": "https://user@client.example/"},
        {"client_uri": "https://"},
        {"client_uri": "https://client.example:port/"},
        {"client_uri": "https://client.example:0/"},
        {"client_uri": "https://client.example/ /"},
        {"client_uri": "https://client.example/\\"},
        {"client_uri": "https://client.example/" + "x" * limits.oauth_uri_characters_max},
        {"grant_types": "authorization_code"},
        {"grant_types": [1]},
        {"response_types": "code"},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"application_type": "toaster"},
        {"client_name": 5},
        {"client_name": "x" * (limits.oauth_name_characters_max + 1)},
        {"tos_uri": "https://elsewhere.example/"},
        {"policy_uri": "http://client.example/"},
        {"logo_uri": 5},
    ],
)
def test_metadata_that_is_refused(changed: dict[str, Any]) -> None:
    assert refused(**changed) == "invalid_client_metadata"


@pytest.mark.parametrize(
    "uris", [[], "https://client.example/", [5], ["https://client.example/"] * 21, ["https://elsewhere.example/"]]
)
def test_redirect_uris_that_are_refused(uris: object) -> None:
    assert refused(redirect_uris=uris) == "invalid_redirect_uri"


def test_names_in_other_languages_are_kept_if_they_are_good() -> None:
    found = metadata(
        **{
            "client_name#fr": "Le client",
            "client_name#it": 5,
            "client_name#es": "x" * 1_000,
            "tos_uri#fr": "https://client.example/cgu",
            "tos_uri#it": "https://elsewhere.example/",
            "colour#fr": "bleu",
        }
    )
    assert found.localized == {
        "client_name#de": "Der Klient",
        "client_name#fr": "Le client",
        "tos_uri#fr": "https://client.example/cgu",
    }


@pytest.mark.parametrize(
    ("uri", "native", "good"),
    [
        ("https://client.example/callback", False, True),
        ("https://app.client.example:8443/callback?a=b", False, True),
        ("https://CLIENT.example/", False, True),
        ("https://notclient.example/", False, False),
        ("https://client.example.evil.example/", False, False),
        ("https://client.example/#fragment", False, False),
        ("https://user@client.example/", False, False),
        ("http://client.example/", False, False),
        ("http://localhost/callback", False, False),
        ("example.client:/callback", False, False),
        ("https://client.example/callback", True, True),
        ("http://localhost/callback", True, True),
        ("http://127.0.0.1/callback", True, True),
        ("http://[::1]/callback", True, True),
        ("http://localhost:1234/callback", True, False),
        ("http://a@localhost/callback", True, False),
        ("http://192.0.2.1/callback", True, False),
        ("example.client:/callback", True, True),
        ("example.client.app:/callback", True, True),
        ("example.client.app:callback", True, True),
        ("example.client://callback", True, False),
        ("example.client:///callback", True, False),
        ("example.clients:/callback", True, False),
        ("com.evil:/callback", True, False),
        ("javascript:alert(1)", True, False),
        ("", True, False),
    ],
)
def test_redirect_uris(uri: str, native: bool, good: bool) -> None:
    assert decide.is_redirect_uri(uri, "client.example", native=native) is good


def test_a_host_of_one_word_makes_no_scheme() -> None:
    assert not decide.is_redirect_uri("localhost:/callback", "localhost", native=True)


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("http://localhost/callback", True),
        ("http://localhost:1234/callback", True),
        ("http://[::1]:1234/callback", True),
        ("http://localhost:1234/elsewhere", False),
        ("http://127.0.0.1:1234/callback", False),
        ("http://localhost:1234/callback#", False),
        ("https://localhost:1234/callback", False),
        ("http://localhost:port/callback", False),
        ("http://192.0.2.1:80/callback", False),
        ("http://localhost/other", False),
    ],
)
def test_a_loopback_address_takes_any_port_and_is_otherwise_exact(uri: str, good: bool) -> None:
    found = metadata(**NATIVE, redirect_uris=["http://localhost/callback", "http://[::1]/callback"])
    assert decide.is_registered(uri, found) is good


def test_a_web_client_has_no_loopback_address() -> None:
    assert not decide.is_registered("http://localhost:1/", metadata())


# Scopes


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        (SCOPE.text, SCOPE.text),
        (f"openid {SCOPE.text} profile", SCOPE.text),
        (
            "urn:matrix:org.matrix.msc2967.client:api:* urn:matrix:org.matrix.msc2967.client:device:PHONE",
            "urn:matrix:org.matrix.msc2967.client:api:* urn:matrix:org.matrix.msc2967.client:device:PHONE",
        ),
        (f"{SCOPE.text} urn:matrix:client:device:PHONE", SCOPE.text),
    ],
)
def test_scopes_that_are_granted(text: str, granted: str) -> None:
    found = decide.scope_in(text)
    assert isinstance(found, Scope)
    assert (found.device_id, found.text) == ("PHONE", granted)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "urn:matrix:client:api:*",
        "urn:matrix:client:device:PHONE",
        "urn:matrix:client:api:* urn:matrix:client:device:A urn:matrix:client:device:B",
        "urn:matrix:client:api:* urn:matrix:client:device:",
        "urn:matrix:client:api:* urn:matrix:client:device:a/b",
        "urn:matrix:client:api:* urn:matrix:client:device:" + "x" * 256,
    ],
)
def test_scopes_that_are_refused(text: str) -> None:
    found = decide.scope_in(text)
    assert isinstance(found, OAuthRefused)
    assert found.error == "invalid_scope"


# Authorisation


def query(**changed: list[str] | None) -> dict[str, list[str]]:
    wanted: dict[str, list[str] | None] = {
        "client_id": ["C"],
        "redirect_uri": [CALLBACK],
        "response_type": ["code"],
        "scope": [SCOPE.text],
        "code_challenge": [CHALLENGE],
        "code_challenge_method": ["S256"],
        **changed,
    }
    return {name: values for name, values in wanted.items() if values is not None}


CLIENT = Client("C", metadata(), 0)


def test_a_good_request_is_understood() -> None:
    found = decide.authorization_request(
        query(response_mode=["fragment"], state=["s"], prompt=["create login"], login_hint=["mxid:@alice:here.example"]), CLIENT
    )
    assert found == AuthorizationRequest(
        CLIENT,
        ReturnAddress(CALLBACK, "fragment", "s"),
        SCOPE,
        CHALLENGE,
        frozenset({"create", "login"}),
        "mxid:@alice:here.example",
    )


@pytest.mark.parametrize(
    ("changed", "client"),
    [
        ({}, None),
        ({"client_id": ["C", "C"]}, CLIENT),
        ({"redirect_uri": None}, CLIENT),
        ({"redirect_uri": [CALLBACK, CALLBACK]}, CLIENT),
        ({"redirect_uri": ["https://client.example/other"]}, CLIENT),
    ],
)
def test_requests_that_nobody_is_sent_back_with(changed: dict[str, Any], client: Client | None) -> None:
    assert isinstance(decide.authorization_request(query(**changed), client), RefusedHere)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"scope": [SCOPE.text, SCOPE.text]}, "invalid_request"),
        ({"request": ["x"]}, "request_not_supported"),
        ({"request_uri": ["x"]}, "request_not_supported"),
        ({"response_type": ["token"]}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": ["form_post"]}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": ["short"]}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": ["plain"]}, "invalid_request"),
        ({"state": ["x" * (limits.oauth_uri_characters_max + 1)]}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
    ],
)
def test_requests_that_are_refused_at_the_clients_address(changed: dict[str, Any], error: str) -> None:
    found = decide.authorization_request(query(**changed), CLIENT)
    assert isinstance(found, RefusedThere)
    assert found.error == error
    assert found.back.redirect_uri == CALLBACK


def test_a_client_that_registered_for_devices_alone_gets_no_code() -> None:
    found = decide.authorization_request(query(), Client("C", metadata(grant_types=[DEVICE_CODE]), 0))
    assert isinstance(found, RefusedThere)
    assert found.error == "unauthorized_client"


@pytest.mark.parametrize(
    ("uri", "mode", "state", "url"),
    [
        ("https://a.example/", "query", None, "https://a.example/?code=c"),
        ("https://a.example/?x=y", "query", "s t", "https://a.example/?x=y&code=c&state=s+t"),
        ("https://a.example/", "fragment", "s", "https://a.example/#code=c&state=s"),
        ("example.a:/cb", "query", "s", "example.a:/cb?code=c&state=s"),
    ],
)
def test_where_the_answer_goes(uri: str, mode: str, state: str | None, url: str) -> None:
    assert decide.return_url(ReturnAddress(uri, mode, state), {"code": "c"}) == url


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("https://a.example:8443/cb?x", "https://a.example:8443"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000"),
        ("http://[::1]:5000/cb", "http:"),
        ("example.a:/cb", "example.a:"),
    ],
)
def test_what_a_policy_allows_a_form_to_lead_to(uri: str, target: str) -> None:
    assert decide.form_target(uri) == target


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (None, ""),
        ("alice", "alice"),
        ("mxid:@alice:here.example", "alice"),
        ("@alice:here.example", "alice"),
        ("@alice:there.example", ""),
        ("x" * 256, ""),
    ],
)
def test_hints_of_whom_to_sign_in(hint: str | None, name: str) -> None:
    assert decide.hinted_user(hint, HERE) == name


# Tokens


def code(**changed: Any) -> Code:
    kept = {"client_id": "C", "user_id": UserId("@a:b"), "scope": SCOPE, "redirect_uri": CALLBACK}
    return Code(**{**kept, "code_challenge": CHALLENGE, "expires_ts": 10, **changed})


def test_a_code_is_good_for_whoever_began() -> None:
    assert decide.code_refusal(code(), "C", CALLBACK, VERIFIER, 9) is None


@pytest.mark.parametrize(
    ("kept", "client_id", "uri", "verifier", "now_ms"),
    [
        (None, "C", CALLBACK, VERIFIER, 9),
        (code(), "C", CALLBACK, VERIFIER, 10),
        (code(session_id=5), "C", CALLBACK, VERIFIER, 9),
        (code(), "D", CALLBACK, VERIFIER, 9),
        (code(), "C", "https://client.example/", VERIFIER, 9),
        (code(), "C", CALLBACK, VERIFIER + "x", 9),
        (code(), "C", CALLBACK, "short", 9),
    ],
)
def test_codes_that_give_nothing(kept: Code | None, client_id: str, uri: str, verifier: str, now_ms: int) -> None:
    found = decide.code_refusal(kept, client_id, uri, verifier, now_ms)
    assert found is not None
    assert found.error == "invalid_grant"


def test_the_challenge_of_the_standard() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert decide.challenge_matches("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", verifier)


def test_a_client_uses_the_grants_that_it_registered_for() -> None:
    found = metadata(grant_types=["authorization_code"])
    assert decide.grant_refusal("authorization_code", found) is None
    assert decide.grant_refusal("refresh_token", found) == OAuthRefused(
        "unauthorized_client", "This client did not register for this grant."
    )
    assert decide.grant_refusal("password", found) == OAuthRefused("unsupported_grant_type", "This grant is not known here.")
    assert decide.may_wait(found) is not None
    assert not decide.is_refreshable(found)
    assert decide.is_refreshable(metadata())


# Devices


def grant(**changed: Any) -> DeviceGrant:
    kept = {"client_id": "C", "scope": SCOPE, "state": DeviceGrantState.ALLOWED, "user_id": UserId("@a:b")}
    return DeviceGrant(**{**kept, "interval_ms": 5_000, "polled_ts": 0, "expires_ts": 100_000, **changed})


@pytest.mark.parametrize(
    ("kept", "client_id", "now_ms", "error"),
    [
        (grant(), "C", 5_000, None),
        (None, "C", 5_000, "invalid_grant"),
        (grant(), "D", 5_000, "invalid_grant"),
        (grant(state=DeviceGrantState.SPENT), "C", 5_000, "invalid_grant"),
        (grant(), "C", 100_000, "expired_token"),
        (grant(state=DeviceGrantState.DENIED), "C", 5_000, "access_denied"),
        (grant(), "C", 4_999, "slow_down"),
        (grant(state=DeviceGrantState.WAITING), "C", 5_000, "authorization_pending"),
    ],
)
def test_what_a_device_that_asks_is_told(kept: DeviceGrant | None, client_id: str, now_ms: int, error: str | None) -> None:
    found = decide.device_refusal(kept, client_id, now_ms)
    assert (None if found is None else found.error) == error


@pytest.mark.parametrize(
    ("typed", "read"),
    [("bcdf-ghjk", "BCDFGHJK"), (" BCDF GHJK ", "BCDFGHJK"), ("bcdfghj", None), ("bcdfghja", None), ("", None)],
)
def test_codes_as_people_type_them(typed: str, read: str | None) -> None:
    assert decide.user_code_in(typed) == read
    assert read is None or decide.shown_user_code(read) == "BCDF-GHJK"


# Our own pages


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("/_watchword/account", True),
        ("/_watchword/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fb%2F", True),
        (None, False),
        ("", False),
        ("https://evil.example/", False),
        ("//evil.example/_watchword/", False),
        ("/\\evil.example", False),
        ("/_watchword//evil.example", False),
        ("/_watchword/../evil", False),
        ("/_watchword/%2e%2e/evil", False),
        ("/_watchword/a#b", False),
        ("/_watchwordy/", False),
        ("/_watchword/a b", False),
        ("/_watchword/" + "x" * limits.oauth_next_characters_max, False),
    ],
)
def test_nobody_is_sent_elsewhere_by_a_link_to_us(text: str | None, good: bool) -> None:
    assert decide.next_path(text) == (text if good else None)


def test_a_prompt_that_was_obeyed_is_taken_out() -> None:
    assert decide.without_prompt("a=b+c&prompt=create&d=&prompt=login") == "a=b+c&d="


@pytest.mark.parametrize(
    ("action", "device_id", "page"),
    [
        (None, None, None),
        ("org.matrix.profile", None, None),
        ("org.example.dance", "PHONE", None),
        ("org.matrix.devices_list", None, "/_watchword/account/devices"),
        ("org.matrix.sessions_list", None, "/_watchword/account/devices"),
        ("org.matrix.device_view", "A/B", "/_watchword/account/device?device_id=A%2FB"),
        ("org.matrix.session_view", "A", "/_watchword/account/device?device_id=A"),
        ("org.matrix.device_view", None, "/_watchword/account/devices"),
        ("org.matrix.device_delete", "A", "/_watchword/account/device/sign-out?device_id=A"),
        ("org.matrix.session_end", "A", "/_watchword/account/device/sign-out?device_id=A"),
        ("org.matrix.account_deactivate", None, "/_watchword/account/deactivate"),
        ("org.matrix.cross_signing_reset", None, "/_watchword/account/reset-identity"),
        ("org.matrix.cross_signing_reset", "A", "/_watchword/account/reset-identity?device_id=A"),
    ],
)
def test_where_an_action_of_the_account_page_leads(action: str | None, device_id: str | None, page: str | None) -> None:
    assert decide.account_page(action, device_id) == page


def test_our_page_takes_newcomers_where_it_can_ask_for_everything() -> None:
    token, terms, dummy = "m.login.registration_token", "m.login.terms", "m.login.dummy"
    assert decide.newcomer_rules(((token,),)) == decide.NewcomerRules(needs_invitation=True)
    assert decide.newcomer_rules(((dummy,), (token, terms))) == decide.NewcomerRules(needs_invitation=False)
    assert decide.newcomer_rules((("m.login.recaptcha",), (token,))) == decide.NewcomerRules(needs_invitation=True)
    assert decide.newcomer_rules(((token, "m.login.email.identity"),)) is None
