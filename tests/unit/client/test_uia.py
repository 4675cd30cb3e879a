"""Which stage of an authentication comes next."""

from typing import Any

import pytest

from watchword.client.uia import Credentials

EVERYTHING = Credentials("alice", "pw", "token", accept_terms=True)


def challenge(*flows: list[str], completed: tuple[str, ...] = (), session: str | None = "s") -> dict[str, Any]:
    body: dict[str, Any] = {"flows": [{"stages": stages} for stages in flows], "completed": list(completed)}
    return body if session is None else {**body, "session": session}


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("m.login.dummy", {}),
        ("m.login.registration_token", {"token": "token"}),
        ("m.login.terms", {}),
        ("m.login.password", {"identifier": {"type": "m.id.user", "user": "alice"}, "password": "pw"}),
    ],
)
def test_a_stage_is_answered_with_what_it_asks_for(stage: str, expected: dict[str, Any]) -> None:
    assert EVERYTHING.next_auth(challenge([stage]), []) == {"type": stage, "session": "s", **expected}


def test_completed_stages_are_passed_over() -> None:
    auth = EVERYTHING.next_auth(challenge(["m.login.dummy", "m.login.terms"], completed=("m.login.dummy",)), ["m.login.dummy"])
    assert auth == {"type": "m.login.terms", "session": "s"}


def test_the_shortest_possible_flow_is_taken() -> None:
    flows = (["m.login.email.identity"], ["m.login.terms", "m.login.dummy"], ["m.login.dummy"])
    assert EVERYTHING.next_auth(challenge(*flows), []) == {"type": "m.login.dummy", "session": "s"}


def test_a_flow_that_cannot_be_finished_is_not_begun() -> None:
    assert Credentials("alice").next_auth(challenge(["m.login.dummy", "m.login.password"]), []) is None


def test_a_stage_that_failed_is_not_tried_again() -> None:
    assert EVERYTHING.next_auth(challenge(["m.login.dummy"]), ["m.login.dummy"]) is None


@pytest.mark.parametrize("body", [{}, {"flows": None}, {"flows": [5, {"stages": 5}, {}]}])
def test_a_malformed_challenge_is_not_answered(body: dict[str, Any]) -> None:
    assert EVERYTHING.next_auth(body, []) is None


def test_a_session_is_not_invented() -> None:
    assert EVERYTHING.next_auth(challenge(["m.login.dummy"], session=None), []) == {"type": "m.login.dummy"}


def test_credentials_do_not_show_themselves() -> None:
    assert "pw" not in repr(EVERYTHING)
    assert "token" not in repr(EVERYTHING)
