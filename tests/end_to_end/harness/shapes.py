"""The shapes that the specification gives to answers, and whether an answer has its shape."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_DATA = Path(__file__).parents[2] / "data" / "plain"
_METHODS = frozenset({"get", "put", "post", "delete"})
_PARAMETER = re.compile(r"\\\{[^}]*\\\}")


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation of the specification. pattern: its path; place: where its document describes it."""

    document: str
    method: str
    path: str
    pattern: re.Pattern[str] = field(repr=False)
    described: Mapping[str, Any] = field(repr=False)

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters in its path."""
        return re.findall(r"\{([^}]*)\}", self.path)

    @property
    def name(self) -> tuple[str, str]:
        """Method and path."""
        return self.method, self.path


@cache
def _documents() -> Mapping[str, Mapping[str, Any]]:
    names = ("client-server", "server-server")
    documents = {name: json.loads((_DATA / f"{name}.openapi.json").read_text("utf-8")) for name in names}
    # "One of" an object and an event is a slip: every event is an object.
    state = documents["client-server"]["paths"]["/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}"]["get"]
    schema = state["responses"]["200"]["content"]["application/json"]["schema"]
    schema["anyOf"] = schema.pop("oneOf")
    # An invite is given back as its sender made it, and `origin` has not been in events for long.
    (invite,) = documents["server-server"]["components"]["schemas"]["server-server.invite_event"]["allOf"]
    invite["required"].remove("origin")
    return documents


def document_of(name: str) -> Mapping[str, Any]:
    """One of the specification's documents, to be read only."""
    return _documents()[name]


@cache
def _registry() -> Registry[Any]:
    resources = [(f"urn:{name}", DRAFT202012.create_resource(document)) for name, document in _documents().items()]
    return Registry().with_resources(resources)


@cache
def operations() -> list[Operation]:
    """Every operation; those with fewer parameters in their path come first."""
    found = []
    for document, content in _documents().items():
        for path, item in content["paths"].items():
            pattern = re.compile(_PARAMETER.sub("[^/]*", re.escape(path)))
            found += [
                Operation(document, method.upper(), path, pattern, item[method]) for method in sorted(item.keys() & _METHODS)
            ]
    return sorted(found, key=lambda operation: operation.path.count("{"))


def operation_of(method: str, target: str) -> Operation | None:
    """Which operation a request is for."""
    path = target.partition("?")[0]
    return next((each for each in operations() if each.method == method and each.pattern.fullmatch(path)), None)


def parameters_of(operation: Operation) -> list[Mapping[str, Any]]:
    """What an operation takes beside its body, as the document describes it."""
    found: list[Mapping[str, Any]] = []
    for each in operation.described.get("parameters", []):
        found.append(_at(_documents()[operation.document], each["$ref"].removeprefix("#")) if "$ref" in each else each)
    return found


@cache
def _validator(document: str, pointer: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"urn:{document}#{pointer}"}, registry=_registry())


def _schema_pointer(operation: Operation, status: int) -> str | None:
    """Where the schema of an answer with this status is; None if it has none in JSON."""
    responses = operation.described["responses"]
    name = str(status) if str(status) in responses else "default"
    if name not in responses:
        return None
    response, pointer = responses[name], _pointer("paths", operation.path, operation.method.lower(), "responses", name)
    if "$ref" in response:
        pointer = response["$ref"].removeprefix("#")
        response = _at(_documents()[operation.document], pointer)
    if "schema" not in response.get("content", {}).get("application/json", {}):
        return None
    return pointer + _pointer("content", "application/json", "schema")


def _pointer(*parts: str) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D") for part in parts)


def _at(document: Mapping[str, Any], pointer: str) -> Any:
    value: Any = document
    for part in pointer.split("/")[1:]:
        value = value[unquote(part).replace("~1", "/").replace("~0", "~")]
    return value


def has_shape(operation: Operation, status: int) -> bool:
    """Whether the specification gives a shape in JSON to an answer with this status."""
    return _schema_pointer(operation, status) is not None


def complaints(method: str, target: str, status: int, body: bytes) -> Iterator[str]:
    """What is wrong with the shape of an answer."""
    operation = operation_of(method, target)
    if operation is not None:
        yield from complaints_of(operation, status, body)


def complaints_of(operation: Operation, status: int, body: bytes) -> Iterator[str]:
    """What is wrong with the shape of an answer to this operation."""
    pointer = _schema_pointer(operation, status)
    if pointer is None:
        return
    for error in _validator(operation.document, pointer).iter_errors(json.loads(body)):
        yield f"{operation.method} {operation.path} {status}: {error.json_path}: {error.message[:300]}"


def strangers(method: str, target: str, status: int, body: bytes) -> Iterator[str]:
    """Keys at the top of an answer that its schema does not name."""
    operation = operation_of(method, target)
    pointer = None if operation is None else _schema_pointer(operation, status)
    if operation is None or pointer is None:
        return
    schema = resolved(operation.document, _at(_documents()[operation.document], pointer))
    value = json.loads(body)
    if isinstance(value, dict) and "properties" in schema and "additionalProperties" not in schema:
        for key in sorted(value.keys() - schema["properties"].keys()):
            yield f"{method} {operation.path} {status}: {key}"


def resolved(document: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with the properties and the required keys of all its parts."""
    properties: dict[str, Any] = dict(schema.get("properties", {}))
    found: dict[str, Any] = dict(schema)
    required = list(schema.get("required", []))
    parts = [*schema.get("allOf", []), *([{"$ref": schema["$ref"]}] if "$ref" in schema else [])]
    for part in parts:
        whole = _at(_documents()[document], part["$ref"].removeprefix("#")) if "$ref" in part else part
        inner = resolved(document, whole)
        properties |= inner.get("properties", {})
        required += inner.get("required", [])
        found |= {name: value for name, value in inner.items() if name == "additionalProperties"}
    return {**found, "required": required, **({"properties": properties} if properties else {})}
