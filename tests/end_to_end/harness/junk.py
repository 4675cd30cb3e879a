"""Wrong values for every place of every operation: paths, queries, and the fields of bodies."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.shapes import Operation
from tests.house.operations import blanked, served

VALUES: tuple[object, ...] = (None, True, -1, 1.5, 1 << 60, "", "x\x00y", "x" * 300, [], [None], {}, {"x": [[]]})
JUNK_IN_PATHS = ("%00", "%FF", "%ED%A0%80", "x" * 300, "%2F", "..", "!", "@:", "%E2%80%AE", "%F0%9F%92%A5", "-1", "%")
JUNK_IN_QUERIES = ("", "%00", "%FF", "x" * 300, "-1", "1e9", "9" * 30, "{", "[]", "null", "%7B%7D", "s1", "t999999999_1")
_PARAMETERS = {
    "userId": "@x:north.example",
    "roomIdOrAlias": "!x:north.example",
    "roomAlias": "#x:north.example",
    "eventId": "$x",
    "serverName": "north.example",
    "kind": "override",
    "receiptType": "m.read",
}


def served_operations(document: str) -> list[Operation]:
    """The operations of one of the specification's documents that we serve."""
    rows = {(row.method, blanked(row.path)) for _, row in served()}
    return [
        operation
        for operation in shapes.operations()
        if operation.document == document and (operation.method, blanked(operation.path)) in rows
    ]


def filled(operation: Operation, room_id: str, **others: str) -> str:
    """A target with plausible parameters. others: encoded parameters to use instead."""
    target = operation.path
    known = {**_PARAMETERS, "roomId": room_id}
    for name in operation.parameters:
        value = others[name] if name in others else quote(known.get(name, "x"), safe="")
        target = target.replace("{" + name + "}", value)
    return target


def body_fields(operation: Operation) -> Mapping[str, Any]:
    """The fields that a body may have, with their schemas."""
    schema = operation.described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields: Mapping[str, Any] = schema.get("properties", {})
    return fields


def wrong_bodies(operation: Operation) -> Iterator[object]:
    """Bodies in which one field is wrong."""
    fields = body_fields(operation)
    for name, value in itertools.product(fields, VALUES):
        yield {name: value}
        # The other fields as they might be, so that this one is reached.
        yield {**{other: _plausible(other, schema) for other, schema in fields.items()}, name: value}


def _plausible(name: str, schema: Mapping[str, Any]) -> object:
    kind = schema.get("type", "object")
    kinds: dict[object, object] = {"string": "x", "integer": 1, "boolean": False, "array": [], "object": {}, "number": 1}
    named = {"user_id": "@x:north.example", "room_version": "12", "type": "m.login.password"}
    return named.get(name, kinds.get(kind if isinstance(kind, str) else kind[0]))


def wrong_targets(operation: Operation, room_id: str) -> Iterator[str]:
    """Targets in which one parameter of the path or the query is wrong."""
    for name, junk in itertools.product(operation.parameters, JUNK_IN_PATHS):
        yield filled(operation, room_id, **{name: junk})
    queries = [each["name"] for each in operation.described.get("parameters", []) if each.get("in") == "query"]
    for name, junk in itertools.product(queries, JUNK_IN_QUERIES):
        if (name, junk) != ("timeout", "9" * 30):
            yield f"{filled(operation, room_id)}?{name}={junk}"
