from collections.abc import Mapping

import pytest

from watchword.protocol.auth_difference import MissingAuthEvent, auth_chains, auth_difference, conflicted_subgraph
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.state_resolution import conflicted


def a_graph(**cited: str) -> dict[EventId, Pdu]:
    """Events by one-letter IDs, each with the IDs that it cites."""
    return {
        EventId(name): Pdu(
            EventId(name), RoomId("!r"), UserId("@a:hs"), "t", name, {}, 1, 1, (), tuple(EventId(c) for c in ids), {}
        )
        for name, ids in cited.items()
    }


def a_state(**ids: str) -> Mapping[StateKey, EventId]:
    return {("t", key): EventId(event_id) for key, event_id in ids.items()}


def ids(text: str) -> set[EventId]:
    return {EventId(letter) for letter in text}


def test_a_chain_holds_whatever_is_cited_directly_or_not() -> None:
    assert auth_chains(ids("d"), a_graph(a="", b="a", c="a", d="bc", e="d")) == ids("abcd")


def test_a_circle_is_walked_once() -> None:
    assert auth_chains(ids("a"), a_graph(a="b", b="a")) == ids("ab")


def test_every_absent_event_is_named() -> None:
    with pytest.raises(MissingAuthEvent) as caught:
        auth_chains(ids("a"), a_graph(a="bc", b="d"))
    assert caught.value.event_ids == ids("cd")
    assert "2 events are missing" in str(caught.value)


def difference(graph: dict[EventId, Pdu], *states: Mapping[StateKey, EventId]) -> set[EventId]:
    return auth_difference(states, *conflicted(states), graph)


def test_what_only_some_states_rest_on_is_the_difference() -> None:
    graph = a_graph(a="", b="a", c="b", d="a", e="d")
    assert difference(graph, a_state(x="c"), a_state(x="e")) == ids("bcde")


def test_what_an_event_in_all_states_rests_on_is_no_difference() -> None:
    graph = a_graph(a="", b="a", c="b", d="a", e="d", f="b")
    assert difference(graph, a_state(x="c", y="f"), a_state(x="e", y="f")) == ids("cde")


def test_states_that_rest_on_the_same_do_not_differ() -> None:
    assert difference(a_graph(a="", b="a"), a_state(x="b"), a_state(y="b")) == set()


def test_a_key_that_one_state_lacks_makes_a_difference() -> None:
    assert difference(a_graph(a="", b="a", c="a"), a_state(x="b"), a_state(x="b", y="c")) == ids("c")


def test_events_between_conflicted_ones_are_the_subgraph() -> None:
    graph = a_graph(a="", b="a", c="b", d="c", e="a", f="de")
    assert conflicted_subgraph(ids("bf"), graph) == ids("bcdf")


def test_conflicted_events_apart_have_nothing_between_them() -> None:
    assert conflicted_subgraph(ids("bc"), a_graph(a="", b="a", c="a")) == ids("bc")


def test_the_subgraph_of_a_circle_is_found_too() -> None:
    assert conflicted_subgraph(ids("a"), a_graph(a="b", b="a")) == ids("ab")
