"""The rules of addresses, every branch."""

from typing import Any

import pytest

from watchword.server.accounts.commands import Refused
from watchword.server.accounts.threepids import decide
from watchword.server.accounts.threepids.commands import Credentials, Threepid


def errcode(answer: object) -> str | None:
    return answer.errcode if isinstance(answer, Refused) else None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ("Strauß@Example.com", "strauss@example.com"),
        ("o'hara+matrix@mail.example", "o'hara+matrix@mail.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_an_address_is_case_folded_whole(typed: str, kept: str) -> None:
    assert decide.parse_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "nobody",
        "@there.example",
        "bob@",
        "a b@there.example",
        "a@b@there.example",
        "a,b@there.example",
        ".a@there.example",
        "a..b@there.example",
        "bob@there..example",
        "bob@-there.example",
        "bob@there.example\n",
        "bob\u202e@there.example",
        "bob@" + "ü" * 64 + ".example",
        "b" * 65 + "@there.example",
        "b@" + "x." * 126 + "example",
        "b@" + "x" * 300,
        "<bob@there.example>",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    assert decide.parse_email(typed) is None


def test_an_address_may_not_grow_too_long_by_folding() -> None:
    assert decide.parse_email("ß@" + ".".join(["x" * 63] * 3 + ["x" * 60])) is None


def test_known_addresses_are_named_by_medium() -> None:
    assert decide.parse_threepid("email", "A@b.example") == Threepid("email", "a@b.example")
    assert decide.parse_threepid("email", "nobody") is None
    assert decide.parse_threepid("msisdn", "+491511234567") == Threepid("msisdn", "491511234567")
    assert decide.parse_threepid("msisdn", "0151 1234567") is None
    assert decide.parse_threepid("pigeon", "491511234567") is None


def thirdparty(**fields: Any) -> dict[str, Any]:
    return {"identifier": {"type": "m.id.thirdparty", **fields}}


def test_a_login_may_name_an_address() -> None:
    alice = Threepid("email", "alice@there.example")
    assert decide.identified(thirdparty(medium="email", address="Alice@there.example")) == alice
    assert decide.identified({"medium": "email", "address": "Alice@there.example"}) == alice
    phone = {"type": "m.id.phone", "country": "DE", "phone": "0151 1234567"}
    assert decide.identified({"identifier": phone}) == Threepid("msisdn", "491511234567")
    older = {"type": "m.id.phone", "country": "DE", "number": "0151 1234567"}
    assert decide.identified({"identifier": older}) == Threepid("msisdn", "491511234567")


def test_an_address_that_cannot_be_is_nobodys() -> None:
    nobody = Threepid("", "")
    assert decide.identified(thirdparty(medium="email", address="nobody")) == nobody
    assert decide.identified({"identifier": {"type": "m.id.phone", "country": "XX", "phone": "1"}}) == nobody


@pytest.mark.parametrize(
    "body", [{}, {"user": "a"}, {"identifier": {"type": "m.id.user"}}, {"identifier": "x"}, {"user": 1, "medium": "x"}]
)
def test_a_login_that_names_no_address_is_left_to_others(body: dict[str, Any]) -> None:
    assert decide.identified(body) is None


@pytest.mark.parametrize(
    "body",
    [
        {"medium": "email"},
        thirdparty(medium="email"),
        thirdparty(medium=1, address="x"),
        {"identifier": {"type": "m.id.phone", "country": "DE"}},
        {"identifier": {"type": "m.id.phone", "phone": "1"}},
    ],
)
def test_half_an_address_is_refused(body: dict[str, Any]) -> None:
    assert errcode(decide.identified(body)) == "M_MISSING_PARAM"


def test_credentials_are_read_under_both_names() -> None:
    shown = {"sid": "s", "client_secret": "c"}
    for name in ("threepid_creds", "threepidCreds"):
        assert decide.credentials_in({name: shown}) == Credentials("s", "c")
    assert errcode(decide.credentials_in({})) == "M_MISSING_PARAM"
    assert errcode(decide.credentials_in({"threepid_creds": {"sid": "s"}})) == "M_MISSING_PARAM"
    assert errcode(decide.credentials_in({"threepid_creds": {"sid": "s", "client_secret": "a b"}})) == "M_INVALID_PARAM"
    assert errcode(decide.credentials_in({"threepid_creds": {"sid": "", "client_secret": "a"}})) == "M_INVALID_PARAM"


def test_an_operator_may_want_some_addresses_only() -> None:
    assert decide.address_refusal(("*@Here.example", "boss@*"), "bob@here.example") is None
    assert decide.address_refusal(("*@here.example", "boss@*"), "boss@there.example") is None
    assert errcode(decide.address_refusal(("*@here.example",), "bob@there.example")) == "M_THREEPID_DENIED"


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "/relative",
        "https://user@there.example/",
        "https://there.example/\r\nx: y",
        "https://there.example\\@here.example/",
        "https:// there.example/",
        "https://[::1/",
        "https:///x",
        "https://there.example/" + "x" * 3_000,
    ],
)
def test_a_browser_is_sent_to_the_web_only(link: str) -> None:
    assert errcode(decide.next_link_refusal(link)) == "M_INVALID_PARAM"


def test_links_are_optional_and_followed_only_to_known_hosts() -> None:
    assert decide.next_link_refusal(None) is None
    assert decide.next_link_refusal("https://app.example/#/welcome?x=1") is None
    assert decide.goes_straight_on("https://app.example/x", {"app.example"})
    assert not decide.goes_straight_on("https://app.example.evil.example/x", {"app.example"})
    assert not decide.goes_straight_on("javascript:x", {"app.example"})


def test_refusals_of_identity_servers_are_passed_on_with_care() -> None:
    assert (decide.passed_on(403, "M_TERMS_NOT_SIGNED").errcode, decide.passed_on(403, "M_X").status) == (
        "M_TERMS_NOT_SIGNED",
        403,
    )
    assert decide.passed_on(401, "M_UNKNOWN_TOKEN") == Refused("M_UNKNOWN", "The identity server refused.", 400)
    assert decide.passed_on(404, "<script>").errcode == "M_UNKNOWN"
    assert decide.passed_on(404, None).errcode == "M_UNKNOWN"
