"""What an event is found by, what the index is asked, and how well a text fits."""

from typing import Any

import pytest

from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.search.commands import Words
from watchword.server.search.matching import (
    expression,
    expression_of_room,
    highlights,
    opened,
    rank,
    scope_words,
    words_of,
)
from watchword.server.search.segmentation import Term, terms

COLUMNS = ("body", "name", "topic")


def an_event(kind: str, content: dict[str, Any], state_key: str | None = None) -> Pdu:
    return Pdu(EventId("$e"), RoomId("!r:x"), UserId("@a:x"), kind, state_key, content, 1, 1, (), (), {}, None)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (an_event("m.room.message", {"body": "Hello"}), Words(body="hello")),
        (an_event("m.room.name", {"name": "Lobby"}, ""), Words(name="lobby")),
        (an_event("m.room.topic", {"topic": "Tea"}, ""), Words(topic="tea")),
        (an_event("m.room.topic", {"topic": "Tea", "m.topic": {"m.text": [{"body": "Tea"}]}}, ""), Words(topic="tea")),
        (an_event("m.room.topic", {"topic": "Tea", "m.topic": {"m.text": [{"body": "Cake"}]}}, ""), Words(topic="cake tea")),
        (an_event("m.room.topic", {"m.topic": {"m.text": [{"body": "Cake"}]}}, ""), Words(topic="cake")),
        (an_event("m.room.message", {"body": 5}), None),
        (an_event("m.room.message", {"body": "!!"}), None),
        (an_event("m.room.message", {"body": "state"}, ""), None),
        (an_event("m.room.name", {"name": "not state"}), None),
        (an_event("m.room.topic", {"topic": "elsewhere"}, "x"), None),
        (an_event("m.room.encrypted", {"body": "secret"}), None),
        (an_event("m.room.member", {"displayname": "Alice"}, "@a:x"), None),
    ],
)
def test_messages_names_and_topics_are_found(event: Pdu, words: Words | None) -> None:
    assert words_of(event) == words


def test_an_edit_stands_in_for_its_original() -> None:
    original = an_event("m.room.message", {"body": "old"})
    assert words_of(original, an_event("m.room.message", {"m.new_content": {"body": "new"}})) == Words(body="new")
    assert words_of(original, an_event("m.room.message", {"m.new_content": "nothing"})) is None


def test_the_index_is_asked_in_rooms_and_columns() -> None:
    asked = expression(terms('tea "good morning" 茶', 9), ("body",), [1, 2])
    assert asked == 'scope : (r1 OR r2) AND {body} : ("tea" AND "good morning" AND "茶" *)'
    assert expression(terms("tea", 9), COLUMNS, [1], 7) == 'scope : ((r1) AND s7) AND {body name topic} : ("tea")'
    assert expression_of_room(5) == "scope : r5"
    assert scope_words(5, 7) == "r5 s7"


def test_words_are_opened_unless_they_are_too_short() -> None:
    wanted = opened(terms('te tea чай я 東京 "two words"', 9))
    assert [term.is_open for term in wanted] == [False, True, True, False, True, False]


def test_more_of_a_word_in_less_text_ranks_higher() -> None:
    wanted = terms("tea", 9)

    def ranked(body: str) -> int:
        return rank(wanted, Words(body=body), COLUMNS)

    assert ranked("tea tea") > ranked("tea") > ranked("tea and cake") > ranked("cake") == ranked("") == 0


def test_whole_words_rank_higher_than_beginnings_of_words() -> None:
    wanted = opened(terms("tea", 9))
    assert rank(wanted, Words(body="tea"), COLUMNS) > rank(wanted, Words(body="team"), COLUMNS) > 0


def test_only_the_columns_asked_for_count() -> None:
    assert rank(terms("tea", 9), Words(body="tea", name="cake"), ("name",)) == 0


def test_words_are_highlighted_as_they_are_written() -> None:
    assert highlights(terms("ecole", 9), ["Mon École, ton école"], 9) == ["École", "école", "ecole"]
    assert highlights(opened(terms("tea", 9)), ["Team tea cake"], 9) == ["Team", "tea"]
    assert highlights(terms('東京都 "good morning"', 9), [], 9) == ["東京都", "good morning"]
    assert highlights(terms("a b c", 9), [], 2) == ["a", "b"]


def test_pairs_that_do_not_overlap_are_words() -> None:
    assert highlights([Term(("ab", "cd"), False)], [], 9) == ["ab cd"]
