import pytest

from watchword.base import errors


@pytest.mark.parametrize(
    ("refusal", "status", "errcode"),
    [
        (errors.BadRequest("M_BAD_JSON", "No."), 400, "M_BAD_JSON"),
        (errors.Unauthenticated("M_MISSING_TOKEN", "No."), 401, "M_MISSING_TOKEN"),
        (errors.Forbidden("No."), 403, "M_FORBIDDEN"),
        (errors.NotFound("No."), 404, "M_NOT_FOUND"),
        (errors.Conflict("M_ROOM_IN_USE", "No."), 409, "M_ROOM_IN_USE"),
        (errors.TooLarge("No."), 413, "M_TOO_LARGE"),
        (errors.LimitExceeded(1), 429, "M_LIMIT_EXCEEDED"),
    ],
)
def test_a_refusal_has_a_status_and_the_standard_body(refusal: errors.Refusal, status: int, errcode: str) -> None:
    assert refusal.status == status
    body = refusal.body()
    assert body["errcode"] == errcode
    assert body["error"]


def test_extra_keys_join_the_body() -> None:
    refusal = errors.Unauthenticated("M_UNKNOWN_TOKEN", "No.", extra={"soft_logout": True})
    assert refusal.body() == {"errcode": "M_UNKNOWN_TOKEN", "error": "No.", "soft_logout": True}


def test_a_limit_says_when_to_come_back_in_both_ways() -> None:
    refusal = errors.LimitExceeded(1_001)
    assert refusal.headers == {"Retry-After": "2"}
    assert refusal.body()["retry_after_ms"] == 1_001


def test_a_setting_that_is_wrong_says_where_what_and_why() -> None:
    assert str(errors.ConfigError("w.toml", "port", "x", "an integer")) == "w.toml: port: found 'x', expected an integer"


def test_a_peer_error_names_the_peer() -> None:
    error = errors.PeerError("b.example", "gone", status=502, body={"a": 1})
    assert str(error) == "b.example: gone"
    assert (error.status, error.errcode, error.body, error.retry_after_ms) == (502, None, {"a": 1}, None)
