"""A request as handlers see it: parsed once, typed at the door."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from watchword.base import limits
from watchword.base.errors import BadRequest, ProtocolError
from watchword.edge.client_address import network_of

T = TypeVar("T")
_FIELDS_MAX = 1_000


class Request:
    """One HTTP request.

    method, path: as sent; path is still percent-encoded. params: path parameters, decoded one by one.
    headers: lower-case names; of a repeated header the last one counts. client_address: the peer's IP address, or what
    a trusted proxy says. json: the body if the endpoint takes JSON, else {}. raw_body: the bytes that json was made
    from. raw_headers: every header as sent, in order, for the rare one that may be repeated.
    """

    __slots__ = (
        "_query",
        "_stream",
        "client_address",
        "headers",
        "json",
        "method",
        "params",
        "path",
        "query_string",
        "raw_body",
        "raw_headers",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str = "",
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        client_address: str = "",
        json: Mapping[str, Any] | None = None,
        stream: Callable[[], AsyncIterator[bytes]] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.params = params if params is not None else {}
        self.headers = headers if headers is not None else {}
        self.client_address = client_address
        self.json: Mapping[str, Any] = json if json is not None else {}
        self.raw_body = b""
        self.raw_headers: Sequence[tuple[bytes, bytes]] = ()
        self._stream = stream
        self._query: dict[str, list[str]] | None = None

    # Head

    def header_values(self, name: str) -> Sequence[str]:
        """Every value of a repeated header, in order; name is lower-case."""
        wanted = name.encode()
        found = tuple(value.decode("latin-1") for key, value in self.raw_headers if key == wanted)
        return found or ((self.headers[name],) if name in self.headers else ())

    @property
    def client_network(self) -> str:
        """By what somebody without an account is counted: his address, of IPv6 the network that it is in."""
        return network_of(self.client_address)

    @property
    def target(self) -> str:
        """The path and the query as sent: what a server's signature covers. Spec: server-server-api#request-authentication"""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    # Path

    def param(self, name: str, parse: Callable[[str], T]) -> T:
        """A path parameter through a parser of `protocol.ids`. Raises BadRequest M_INVALID_PARAM."""
        return _parsed(name, self.params[name], parse)

    # Query

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """Query parameters in order; a repeated one keeps all its values. Raises BadRequest if the bytes are not UTF-8."""
        if self._query is None:
            found: dict[str, list[str]] = {}
            if self.query_string:
                for name, value in _pairs(self.query_string):
                    found.setdefault(name, []).append(value)
            self._query = found
        return self._query

    def query_one(self, name: str) -> str | None:
        """The last value of a query parameter, or None."""
        values = self.query.get(name)
        return values[-1] if values else None

    def query_parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """A query parameter through a parser, or None if absent. Raises BadRequest M_INVALID_PARAM."""
        value = self.query_one(name)
        return None if value is None else _parsed(name, value, parse)

    def query_int(self, name: str, default: int, *, least: int = 0, most: int = limits.canonical_integer_max) -> int:
        """An integer, clipped to `most`. Raises BadRequest M_INVALID_PARAM if it is not one or is below `least`."""
        value = self.query_one(name)
        if value is None:
            return default
        # int() would also read "1_0", " 5" and digits of other scripts, and takes long for long texts.
        is_number = len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit()
        number = int(value) if is_number else least - 1
        if number < least:
            raise BadRequest("M_INVALID_PARAM", f"{name} must be an integer of at least {least}.")
        return min(number, most)

    def query_bool(self, name: str, *, default: bool = False) -> bool:
        """`true` or `false`. Raises BadRequest M_INVALID_PARAM."""
        value = self.query_one(name)
        if value is None:
            return default
        if value in ("true", "false"):
            return value == "true"
        raise BadRequest("M_INVALID_PARAM", f"{name} must be true or false.")

    # Body

    def field(self, name: str, kind: type[T]) -> T:
        """A required key of the body. Raises BadRequest M_MISSING_PARAM or M_BAD_JSON."""
        if name not in self.json:
            raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
        return self._checked(name, kind)

    def field_or(self, name: str, kind: type[T], default: T) -> T:
        """An optional key of the body. Raises BadRequest M_BAD_JSON if it has another type."""
        return self._checked(name, kind) if name in self.json else default

    def field_or_none(self, name: str, kind: type[T]) -> T | None:
        """An optional key of the body; null counts as absent. Raises BadRequest M_BAD_JSON."""
        return None if self.json.get(name) is None else self._checked(name, kind)

    def field_parsed(self, name: str, parse: Callable[[str], T]) -> T:
        """A required string key through a parser. Raises BadRequest M_MISSING_PARAM, M_BAD_JSON or M_INVALID_PARAM."""
        return _parsed(name, self.field(name, str), parse)

    def _checked(self, name: str, kind: type[T]) -> T:
        value = self.json[name]
        # bool is a subclass of int, but JSON's true is no number.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise BadRequest("M_BAD_JSON", f"{name} must be {_KINDS.get(kind, kind.__name__)}.")
        return value

    def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces, for `Body.STREAM`. Raises TooLarge when it passes the endpoint's bound."""
        assert self._stream is not None, "this endpoint does not stream"
        return self._stream()


_KINDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def _pairs(query_string: str) -> Sequence[tuple[str, str]]:
    if "%" not in query_string and "+" not in query_string and query_string.count("&") < _FIELDS_MAX:
        # Most queries are plain words: splitting them is all there is to do.
        return [
            (name, value) for name, _, value in (field.partition("=") for field in query_string.split("&")) if name or value
        ]
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise BadRequest("M_INVALID_PARAM", "The query string is not valid.") from error


def _parsed(name: str, value: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(value)
    except (ProtocolError, ValueError) as error:
        raise BadRequest("M_INVALID_PARAM", f"{name} is not valid.") from error
