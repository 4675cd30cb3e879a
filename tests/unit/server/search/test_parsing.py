"""The body of a search, and the tokens of its pages."""

import base64
from typing import Any

import pytest

from watchword.base.errors import BadRequest
from watchword.server.search.commands import ContextWanted, Order, Place
from watchword.server.search.parsing import parse_criteria, parse_place, place_token


def body(**criteria: Any) -> dict[str, Any]:
    return {"search_categories": {"room_events": {"search_term": "tea", **criteria}}}


def test_a_plain_search_has_defaults() -> None:
    criteria = parse_criteria(body())
    assert criteria is not None
    assert (criteria.term, criteria.columns, criteria.limit) == ("tea", ("body", "name", "topic"), 10)
    assert (criteria.order, criteria.context, criteria.include_state, criteria.group_by) == (Order.RANK, None, False, ())


def test_everything_can_be_asked_for() -> None:
    criteria = parse_criteria(
        body(
            keys=["content.topic", "content.topic"],
            order_by="recent",
            filter={"limit": 5, "rooms": ["!r:x"]},
            event_context={"before_limit": 0, "after_limit": 1_000, "include_profile": True},
            include_state=True,
            groupings={"group_by": [{"key": "sender"}, {"key": "room_id"}, {"key": "sender"}]},
        )
    )
    assert criteria is not None
    assert (criteria.columns, criteria.limit, criteria.order) == (("topic",), 5, Order.RECENT)
    assert criteria.context == ContextWanted(0, 50, True)
    assert criteria.include_state
    assert criteria.group_by == ("sender", "room_id")
    assert criteria.event_filter.rooms == frozenset({"!r:x"})


@pytest.mark.parametrize(("limit", "taken"), [(0, 1), (1_000, 100)])
def test_a_limit_is_brought_within_bounds(limit: int, taken: int) -> None:
    criteria = parse_criteria(body(filter={"limit": limit}))
    assert criteria is not None
    assert criteria.limit == taken


@pytest.mark.parametrize("categories", [{}, {"people": {}}, {"room_events": None}])
def test_categories_that_are_not_known_are_passed_over(categories: dict[str, Any]) -> None:
    assert parse_criteria({"search_categories": categories}) is None


def test_context_has_a_default_size() -> None:
    criteria = parse_criteria(body(event_context={}, keys=[]))
    assert criteria is not None
    assert criteria.context == ContextWanted(5, 5, False)
    assert criteria.columns == ("body", "name", "topic")


@pytest.mark.parametrize(
    ("wrong", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"search_categories": None}, "M_BAD_JSON"),
        ({"search_categories": []}, "M_BAD_JSON"),
        ({"search_categories": {"room_events": 5}}, "M_BAD_JSON"),
        ({"search_categories": {"room_events": {}}}, "M_MISSING_PARAM"),
        (body(search_term=5), "M_BAD_JSON"),
        (body(keys="content.body"), "M_INVALID_PARAM"),
        (body(keys=["content.secret"]), "M_INVALID_PARAM"),
        (body(keys=[[]]), "M_INVALID_PARAM"),
        (body(order_by="random"), "M_INVALID_PARAM"),
        (body(order_by=[]), "M_INVALID_PARAM"),
        (body(filter=5), "M_BAD_JSON"),
        (body(event_context=5), "M_BAD_JSON"),
        (body(event_context={"before_limit": -1}), "M_BAD_JSON"),
        (body(event_context={"after_limit": True}), "M_BAD_JSON"),
        (body(event_context={"include_profile": "yes"}), "M_BAD_JSON"),
        (body(include_state=1), "M_BAD_JSON"),
        (body(groupings=[]), "M_BAD_JSON"),
        (body(groupings={"group_by": "sender"}), "M_BAD_JSON"),
        (body(groupings={"group_by": [{"key": "colour"}]}), "M_INVALID_PARAM"),
        (body(groupings={"group_by": ["sender"]}), "M_INVALID_PARAM"),
        (body(groupings={"group_by": [{"key": []}]}), "M_INVALID_PARAM"),
    ],
)
def test_what_is_no_search_is_refused(wrong: dict[str, Any], errcode: str) -> None:
    with pytest.raises(BadRequest, match=errcode):
        parse_criteria(wrong)


def test_groups_may_be_left_out() -> None:
    criteria = parse_criteria(body(groupings={}, event_context=None, filter=None))
    assert criteria is not None
    assert criteria.group_by == ()


@pytest.mark.parametrize("place", [Place(5, 0, 9, False), Place(5, 70, 9, True, "sender", "@a:x")])
def test_a_place_comes_back_from_its_token(place: Place) -> None:
    assert parse_place(place_token(place)) == place


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "!",
        "ü",
        "x" * 2_000,
        _encoded("[1]"),
        _encoded("not json"),
        _encoded('[-1,0,5,false,"",""]'),
        _encoded('[1,0,9223372036854775808,false,"",""]'),
        _encoded('[1,0,5,false,"colour","x"]'),
    ],
)
def test_what_was_not_given_is_refused(token: str) -> None:
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        parse_place(token)
