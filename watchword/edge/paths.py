"""The table of paths: a dict for paths without parameters and a trie for the rest, both over the raw path.

A Matrix path parameter may contain `%2F` (state keys, aliases, transaction ids), so the raw path is split at `/` first
and each parameter is percent-decoded after, strictly as UTF-8. A parameter never matches an empty segment: an endpoint
whose last parameter may be empty registers the path with the trailing slash as well. Deliberately absent: anything
that is done with what was found.

Theory of operation: a node has static children, at most one parameter child, and the routes that end at it by method.
Static children are tried first; where the method is missing at the end, the search goes back to the parameter child. A
trie is as deep as its longest path, so what a hostile path can make it try is bounded by the table and not by the path.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from watchword.base.errors import BadRequest

R = TypeVar("R")

Captured = tuple[bytes, ...]


class _Node(Generic[R]):
    __slots__ = ("methods", "parameter", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[bytes, _Node[R]] = {}
        self.parameter: _Node[R] | None = None
        self.rest: dict[str, R] = {}
        self.methods: dict[str, R] = {}


class PathTable(Generic[R]):
    """Routes by method and raw path. A last segment `{name*}` takes the rest of the path, slashes included."""

    def __init__(self) -> None:
        self._static: dict[bytes, dict[str, R]] = {}
        self._root: _Node[R] = _Node()

    def add(self, method: str, path: str, route: R, *, alias: bool = False) -> None:
        """Add a route. Raises ValueError if the place is taken; an alias gives way silently."""
        node = self._root
        segments = path.split("/")[1:]
        methods = node.methods
        for segment in segments:
            if segment.startswith("{") and segment.endswith("*}"):
                methods = node.rest
                break
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.static.setdefault(segment.encode(), _Node())
            methods = node.methods
        if method in methods:
            if alias:
                return
            raise ValueError(f"{method} {path} is there already")
        methods[method] = route
        if "{" not in path:
            self._static[path.encode()] = methods

    def find(self, method: str, raw_path: bytes) -> tuple[R, Captured] | frozenset[str] | None:
        """The route and its raw parameters; or the methods that the path does have; or None for an unknown path."""
        found = self._static.get(raw_path)
        if found is not None and (route := found.get(method)) is not None:
            return route, ()
        segments = raw_path.split(b"/")
        if (straight := _straight(self._root, segments, method)) is not None:
            return straight
        allowed: set[str] = set()
        for methods, captured in _walk(self._root, segments, 1, ()):
            if (route := methods.get(method)) is not None:
                return route, captured
            allowed.update(methods)
        return frozenset(allowed) if allowed else None


def _straight(node: _Node[R], segments: list[bytes], method: str) -> tuple[R, Captured] | None:
    """What `_walk` finds where it need not go back, which is nearly always, in a fraction of the time."""
    captured: list[bytes] = []
    for segment in segments[1:]:
        child = node.static.get(segment)
        if child is None:
            child = node.parameter
            # A needlessly encoded static segment, or an empty one: the slow way knows.
            if child is None or not segment or (node.static and b"%" in segment and unquote_to_bytes(segment) in node.static):
                return None
            captured.append(segment)
        node = child
    route = node.methods.get(method)
    return None if route is None else (route, tuple(captured))


def _walk(node: _Node[R], segments: list[bytes], index: int, captured: Captured) -> Iterator[tuple[dict[str, R], Captured]]:
    if index == len(segments):
        if node.methods:
            yield node.methods, captured
        return
    segment = segments[index]
    child = node.static.get(segment)
    if child is None and b"%" in segment:
        child = node.static.get(unquote_to_bytes(segment))
    if child is not None:
        yield from _walk(child, segments, index + 1, captured)
    if node.parameter is not None and segment:
        yield from _walk(node.parameter, segments, index + 1, (*captured, segment))
    if node.rest:
        yield node.rest, (*captured, b"/".join(segments[index:]))


def parameter_names(path: str) -> tuple[str, ...]:
    """The names in braces, in order."""
    return tuple(segment[1:-1].rstrip("*") for segment in path.split("/") if segment.startswith("{"))


def decoded(names: tuple[str, ...], captured: Captured) -> Mapping[str, str]:
    """Percent-decode raw parameters. Raises BadRequest M_INVALID_PARAM where one is not UTF-8 or not well encoded."""
    params: dict[str, str] = {}
    for name, raw in zip(names, captured, strict=True):
        try:
            params[name] = _text(raw) if len(raw) <= _REMEMBERED_BYTES_MAX else _text.__wrapped__(raw)
        except ValueError as error:
            raise BadRequest("M_INVALID_PARAM", f"{name} is not valid percent-encoded UTF-8.") from error
    return params


# The same rooms and users come again and again.
_REMEMBERED_BYTES_MAX = 256
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@lru_cache(4_096)
def _text(raw: bytes) -> str:
    if b"%" not in raw:
        return raw.decode()
    # unquote_to_bytes lets a stray % through; we do not guess what was meant.
    if _STRAY_PERCENT.search(raw):
        raise ValueError(raw)
    return unquote_to_bytes(raw).decode()
