import orjson

from watchword.server.sync.projection import projected

EVENT = {
    "type": "m.room.message",
    "event_id": "$one",
    "sender": "@a:b",
    "content": {"body": "hello", "deep": {"er": 1}, "m.relates_to": {"event_id": "$root"}, "a\\b": 2},
}


def only(*fields: str) -> object:
    return orjson.loads(projected(orjson.dumps(EVENT), fields))


IDENTITY = {"type": "m.room.message", "event_id": "$one"}


def test_without_fields_what_identifies_the_event_remains() -> None:
    assert only() == IDENTITY


def test_a_field_is_kept_whole() -> None:
    assert only("content") == {**IDENTITY, "content": EVENT["content"]}


def test_a_path_keeps_a_part_of_an_object() -> None:
    assert only("content.deep.er") == {**IDENTITY, "content": {"deep": {"er": 1}}}


def test_paths_into_the_same_object_are_joined() -> None:
    assert only("content.body", "content.deep") == {**IDENTITY, "content": {"body": "hello", "deep": {"er": 1}}}


def test_an_escaped_dot_belongs_to_the_name() -> None:
    assert only("content.m\\.relates_to") == {**IDENTITY, "content": {"m.relates_to": {"event_id": "$root"}}}


def test_an_escaped_backslash_is_a_backslash() -> None:
    assert only("content.a\\\\b") == {**IDENTITY, "content": {"a\\b": 2}}


def test_fields_that_are_not_there_are_passed_over() -> None:
    assert only("nothing", "sender.deeper", "nothing.deeper") == IDENTITY


def test_a_path_beside_the_whole_object_takes_nothing_away() -> None:
    assert only("content", "content.body") == {**IDENTITY, "content": EVENT["content"]}
