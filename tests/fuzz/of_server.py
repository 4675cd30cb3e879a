"""Targets in `server/`: bodies, headers and answers that the features take apart themselves."""

import json
from functools import cache
from typing import Any

import apsw
from hypothesis import strategies as st

from tests.fuzz.inputs import edited_bytes, edited_json, edited_object, edited_text, pieces_of
from tests.fuzz.targets import Target
from watchword.base.errors import ConfigError, ProtocolError, Refusal, Refused
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, RoomId, ServerName, UserId
from watchword.server.accounts import decide as accounts
from watchword.server.appservices.registration import registration_in
from watchword.server.e2ee import decide as e2ee
from watchword.server.federation import discovery_rules, key_rules
from watchword.server.federation.multipart import MediaParts, boundary_of
from watchword.server.federation.x_matrix import format_x_matrix, parse_x_matrix
from watchword.server.media import decide as media
from watchword.server.media import decide_kinds, decide_previews, decide_ranges
from watchword.server.media.sandboxed import pages
from watchword.server.oauth import decide as oauth
from watchword.server.oauth.commands import OAuthRefused
from watchword.server.rooms import tokens
from watchword.server.rooms.event_filters import parse_filter
from watchword.server.search import matching, parsing, segmentation
from watchword.server.spaces import decide as spaces
from watchword.server.sync import filters
from watchword.server.sync.sliding import accepted, in_use

_ME, _PHONE, _HERE = UserId("@me:here.example"), DeviceId("PHONE"), ServerName("here.example")
_SIGNED = {"signatures": {_ME: {"ed25519:PHONE": "A" * 86}}}
_DEVICE = {
    "user_id": _ME,
    "device_id": _PHONE,
    "algorithms": ["m.olm.v1"],
    "keys": {"ed25519:PHONE": "A" * 43, "curve25519:PHONE": "B" * 43},
    **_SIGNED,
}

# Federation


def _x_matrix(text: str) -> None:
    found = parse_x_matrix(text)
    if found is not None:
        assert parse_x_matrix(format_x_matrix(found)) == found


_HEADERS = [
    'X-Matrix origin="near.example",destination="here.example",key="ed25519:1",sig="AAAA"',
    "X-Matrix origin=near.example:8448, key=ed25519:1 ,sig=AA+/,destination=here.example",
    r'x-matrix origin="a\"b",key="k",sig="s",,unknown="x"',
]


def _server_address(text: str) -> None:
    address = discovery_rules.parse_address(text)
    if address is not None:
        discovery_rules.direct_target(address)
        discovery_rules.default_target(address)


def _well_known(given: tuple[bytes, dict[str, str]]) -> None:
    body, headers = given
    discovery_rules.delegated_address(body)
    lifetime = discovery_rules.well_known_lifetime_ms(headers, 1_700_000_000_000)
    assert 0 < lifetime <= discovery_rules.WELL_KNOWN_MOST_MS


_KEYS = {
    "server_name": "near.example",
    "valid_until_ts": 1_800_000_000_000,
    "verify_keys": {"ed25519:1": {"key": "A" * 43}},
    "old_verify_keys": {"ed25519:0": {"key": "A" * 43, "expired_ts": 1}},
    "signatures": {"near.example": {"ed25519:1": "A" * 86}},
}


def _key_answer(value: Any) -> None:
    key_rules.read_key_answer(value, ServerName("near.example"), 1_700_000_000_000)


_PART = (
    b'--gc0\r\nContent-Type: application/json\r\n\r\n{}\r\n--gc0\r\nContent-Type: text/plain; charset="utf-8"\r\n'
    b"Content-Disposition: attachment; filename=x\r\n\r\nThe file,\r\n--gc\r\n--and more\r\n--gc0--\r\n"
)


@st.composite
def _multipart(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    data = draw(edited_bytes([_PART, _PART.replace(b"\r\n\r\n{}", b"\r\nX: y\r\n\r\n{}"), b"--gc0--"]))
    return data, draw(pieces_of(data))


def _parts(given: tuple[bytes, list[bytes]]) -> None:
    data, pieces = given
    whole, torn = MediaParts(b"gc0"), MediaParts(b"gc0")
    file = whole.feed(data)
    assert b"".join(torn.feed(piece) for piece in pieces) == file
    assert torn.headers == whole.headers
    assert torn.is_whole == whole.is_whole


# Media


def _disposition(text: str) -> None:
    name = media.file_name_in(text)
    media.file_name(text)
    for shown in (media.disposition("text/plain", name, "text/plain"), media.disposition("image/png", text, "image/png")):
        assert shown.isascii()
        assert not set(shown) & set("\r\n\x00")
    kind = media.content_type(text)
    assert kind.isascii()
    assert not set(kind) & set("\r\n\x00")


def _range(text: str) -> None:
    part = decide_ranges.wanted_part({"range": text, "if-range": '"tag"'}, 1_000, '"tag"')
    decide_ranges.is_known({"if-none-match": text}, '"tag"')
    if part is not None and part != decide_ranges.UNSATISFIABLE:
        assert 0 <= part.first <= part.last < 1_000


_PAGE = b"""<!doctype html><html><head><meta charset=utf-8><title>Title</title><base href="/x/"><meta property="og:title"
content="A &amp; B"><meta name=description content=d><link rel="alternate" type="application/json+oembed" href="/o"></head>
<body><h1>H</h1><p>One</p><script>no</script><p>Two<svg><p>three</svg></body></html>"""


def _page(given: tuple[bytes, str]) -> None:
    data, charset = given
    said = pages.describe(data, charset)
    decide_previews.open_graph(said, "https://example.org/page")
    json.dumps(said).encode()


def _preview_words(given: tuple[str, Any]) -> None:
    text, said = given
    found = decide_previews.page_of(text)
    if not isinstance(found, Refused):
        decide_previews.resolved(found, text)
    decide_previews.resolved("https://example.org/a/b", text)
    decide_previews.language_of(text, "en")
    decide_previews.charset_of(text)
    decide_previews.bare_type(text)
    decide_previews.open_graph(said, "https://example.org/page")
    decide_previews.embedded(said)


# Sync, rooms, search

_FILTER = {
    "room": {
        "rooms": ["!r:b"],
        "not_rooms": [],
        "include_leave": True,
        "timeline": {"limit": 5, "types": ["m.*"], "not_senders": ["@a:b"], "lazy_load_members": True, "contains_url": False},
        "state": {"unread_thread_notifications": True},
    },
    "presence": {"not_types": ["*"]},
    "event_fields": ["content.body"],
    "event_format": "client",
}


def _filter(value: Any) -> None:
    filters._parse(json.dumps(value).encode(), 1)


def _token(text: str) -> None:
    ordering = tokens.parse_timeline_token(text)
    assert 0 <= ordering < 1 << 63
    tokens.parse_sync_token(text)


_LISTS = {
    "lists": {
        "all": {
            "ranges": [[0, 19]],
            "range": [0, 19],
            "timeline_limit": 5,
            "required_state": [["m.room.member", "$LAZY"], ["*", "*"]],
            "filters": {"is_dm": True, "spaces": ["!s"], "room_types": [None, "m.space"], "not_tags": ["x"]},
        },
        "new": {"required_state": {"include": [{"type": "m.room.name", "state_key": ""}], "exclude": [], "lazy_members": True}},
    },
    "room_subscriptions": {"!r:b": {"timeline_limit": 1, "required_state": [["m.room.topic", ""]]}},
    "extensions": {
        "to_device": {"enabled": True, "since": "s1", "limit": 10},
        "e2ee": {"enabled": True},
        "account_data": {"enabled": True, "lists": ["all"], "rooms": ["*"]},
        "receipts": {"enabled": True, "rooms": []},
        "typing": {"enabled": False},
    },
    "conn_id": "main",
    "timeout": 0,
    "pos": "1/2",
}
_REQUESTER = Requester(_ME, _PHONE, 1)


def _sliding(given: tuple[dict[str, Any], str]) -> None:
    body, query = given
    for form in (in_use, accepted):
        try:
            form.read(Request("POST", "/sync", query, json=body), _REQUESTER)
        except Refusal:
            continue


_SEARCH = {
    "search_categories": {
        "room_events": {
            "search_term": 'two "words here" 東京 ไทย',
            "keys": ["content.body"],
            "filter": {"rooms": ["!r:b"], "limit": 3},
            "order_by": "rank",
            "event_context": {"before_limit": 1, "after_limit": 1, "include_profile": True},
            "groupings": {"group_by": [{"key": "room_id"}]},
            "include_state": True,
        }
    }
}


def _search_body(body: dict[str, Any]) -> None:
    parsing.parse_criteria(body)


_TABLE = """CREATE VIRTUAL TABLE search_index USING fts5(
    scope, body, name, topic, content = '', contentless_delete = 1, tokenize = 'ascii')"""


@cache
def _index() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(_TABLE)
    return connection


def _query(text: str) -> None:
    _index().execute("DELETE FROM search_index WHERE rowid = 1")
    row = (matching.scope_words(7, 8), segmentation.indexed(text), "", "")
    _index().execute("INSERT INTO search_index (rowid, scope, body, name, topic) VALUES (1, ?, ?, ?, ?)", row)
    terms = segmentation.terms(text, 10)
    for wanted in (terms, matching.opened(terms)):
        if wanted:
            asked = matching.expression(wanted, tuple(matching.COLUMNS.values()), [7, 9], 8)
            # What is searched for word by word as it was written is found, wherever nothing was cut off.
            found = _index().execute("SELECT rowid FROM search_index WHERE search_index MATCH ?", (asked,)).fetchall()
            assert found == [(1,)] or '"' in text or len(text) > 200, asked
    matching.highlights(terms, [text], 10)
    segmentation.beginnings(text, 5)
    segmentation.original_words(text)


_HIERARCHY = {
    "room": {"room_id": "!r:b", "join_rule": "public", "children_state": [{"type": "m.space.child", "state_key": "!c:b"}]},
    "children": [{"room_id": "!c:b", "num_joined_members": 3, "guest_can_join": False, "world_readable": True}],
    "inaccessible_children": ["!d:b"],
}


def _spaces(value: dict[str, Any]) -> None:
    spaces.described_by_peer(value, RoomId("!r:b"))
    spaces.is_open_to_all(value)
    spaces.children_of([value, {"type": "m.space.child", "state_key": "!c:b", "content": value}])
    spaces.servers_in(value.get("via"))


# End-to-end encryption

_UPLOAD = {
    "device_keys": _DEVICE,
    "one_time_keys": {"signed_curve25519:A": {"key": "A" * 43, **_SIGNED}},
    "fallback_keys": {"signed_curve25519:F": {"key": "A" * 43, "fallback": True, **_SIGNED}},
    "master_key": {"user_id": _ME, "usage": ["master"], "keys": {"ed25519:" + "A" * 43: "A" * 43}},
    "self_signing_key": {"user_id": _ME, "usage": ["self_signing"], "keys": {"ed25519:" + "B" * 43: "B" * 43}, **_SIGNED},
    "user_id": _ME,
    "device_id": _PHONE,
    "stream_id": 5,
    "prev_id": [4],
    "keys": _DEVICE,
    "devices": [{"device_id": _PHONE, "keys": _DEVICE, "device_display_name": "Phone"}],
    "sender": _ME,
    "type": "m.room_key_request",
    "message_id": "m1",
    "messages": {_ME: {"*": {"hello": 1}, "PHONE": {}}},
}


def _keys(body: dict[str, Any]) -> None:
    e2ee.keys_upload(body, _ME, _PHONE)
    e2ee.cross_signing_upload(body, _ME, {}, [_PHONE])
    e2ee.device_list_update("here.example", body)
    e2ee.direct_message("here.example", body)
    e2ee.to_device_messages(body.get("messages"))
    e2ee.remote_device_list(_ME, body)
    e2ee.remote_cross_signing(_ME, body)
    e2ee.new_signatures(body.get("device_keys"), _DEVICE, (_ME, "PHONE"), (_ME, {"ed25519:PHONE": "A" * 43}))
    e2ee.encoded(body)


# Accounts, OAuth, application services

_LOGIN = {
    "type": "m.login.password",
    "identifier": {"type": "m.id.user", "user": "me", "medium": "email", "address": "a@b"},
    "user": "@me:here.example",
    "tags": {"u.x": {"order": 0.5}},
    "ignored_users": {"@a:b": {}},
    "order": 0.1,
}


def _account_bodies(given: tuple[dict[str, Any], str]) -> None:
    body, text = given
    accounts.login_user_id(body, _HERE)
    accounts.tag_refusal(text, body)
    accounts.tags_in(body)
    accounts.ignored_users_in(body)
    accounts.profile_key_refusal(text)
    for key in ("displayname", "avatar_url", "m.tz", text):
        accounts.profile_value_refusal(key, body.get("user"))
    accounts.new_user_id(text, _HERE)
    accounts.account_data_refusal(text)
    accounts.is_registration_token(text)


_CLIENT = {
    "client_name": "App",
    "client_name#lt": "Programa",
    "client_uri": "https://app.example/",
    "redirect_uris": ["https://app.example/callback", "example.app:/callback", "http://127.0.0.1/", "http://[::1]/x"],
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    "response_types": ["code"],
    "application_type": "native",
    "token_endpoint_auth_method": "none",
    "logo_uri": "https://app.example/logo.png",
}


def _oauth(given: tuple[dict[str, Any], str]) -> None:
    body, text = given
    metadata = oauth.client_metadata(body)
    for native in (False, True):
        oauth.is_redirect_uri(text, "app.example", native=native)
    oauth.scope_in(text)
    oauth.user_code_in(text)
    oauth.hinted_user(text, _HERE)
    oauth.challenge_matches("A" * 43, text)
    path = oauth.next_path(text)
    # A browser that is sent there stays here.
    assert path is None or (path.startswith("/") and not path.startswith(("//", "/\\")) and not set(path) & set("\r\n\t"))
    if not isinstance(metadata, OAuthRefused):
        oauth.is_registered(text, metadata)


_BRIDGE = {
    "id": "bridge",
    "url": "http://127.0.0.1:9000",
    "as_token": "a",
    "hs_token": "h",
    "sender_localpart": "bridge",
    "namespaces": {"users": [{"exclusive": True, "regex": "@_b_.*"}], "aliases": [], "rooms": []},
    "rate_limited": False,
    "protocols": ["irc"],
}


def _registration(value: Any) -> None:
    registration_in("bridge.yaml", value, _HERE)


_TEXTS = [
    "https://example.org/a?b#c",
    "/_watchword/account",
    "urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ",
    "u.x",
]
_DISPOSITIONS = [
    'attachment; filename="a\\"b.png"',
    "inline; filename*=utf-8''na%C3%AFve.txt",
    "attachment; filename=x; filename*=UTF-8'en'%F0%9F%A6%8A",
    "image/png; charset=x",
]

TARGETS = (
    Target("x-matrix", edited_text(_HEADERS), _x_matrix),
    Target("server-addresses", edited_text(["example.org:8448", "[2001:db8::1]:80", "1.2.3.4", "a.b"]), _server_address),
    Target(
        "well-known",
        st.tuples(
            edited_bytes([b'{"m.server":"matrix.example.org:443"}', b'{"m.server":"[::1]:8448"}']),
            st.fixed_dictionaries(
                {},
                optional={
                    "cache-control": edited_text(["max-age=3600, public", 'no-store, max-age="60"', "s-maxage=1"]),
                    "expires": edited_text(["Wed, 21 Oct 2026 07:28:00 GMT", "0", "-1"]),
                    "age": edited_text(["100"]),
                },
            ),
        ),
        _well_known,
    ),
    Target("key-answers", edited_json([_KEYS]), _key_answer, (ProtocolError,)),
    Target("media-parts", _multipart(), _parts, (ProtocolError,)),
    Target("media-boundaries", edited_text(["multipart/mixed; boundary=gc0", 'multipart/mixed;boundary="a b"']), boundary_of),
    Target("content-disposition", edited_text(_DISPOSITIONS), _disposition),
    Target("ranges", edited_text(["bytes=0-499", "bytes=-5", "bytes=9-", '"tag", W/"x"', "bytes=0-1,5-6"]), _range),
    Target(
        "kinds-of-files",
        edited_bytes([b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF____WEBPVP8 ", b"%PDF-1.7", b"<svg>", b"\xff\xd8\xff"]),
        decide_kinds.kind_of,
    ),
    Target("pages", st.tuples(edited_bytes([_PAGE]), edited_text(["utf-8", "shift_jis", "latin1", "utf-16"])), _page),
    Target(
        "previews",
        st.tuples(edited_text(_TEXTS), edited_json([{"og": {"og:title": "T", "og:image": "/x"}, "base": "", "oembed": ""}])),
        _preview_words,
    ),
    Target("filters", edited_json([_FILTER]), _filter, (Refusal,)),
    Target("room-filters", edited_json([_FILTER["room"]["timeline"]]), parse_filter, (Refusal,)),  # type: ignore[index]
    Target("tokens", edited_text(["s12", "t34", "p5_6_7", "s0"]), _token, (Refusal,)),
    Target(
        "sliding-sync",
        st.tuples(edited_object([_LISTS]), edited_text(["pos=1%2F2&timeout=5", "timeout=x"])),
        _sliding,
        (Refusal,),
    ),
    Target("search-bodies", edited_object([_SEARCH]), _search_body, (Refusal,)),
    Target("search-queries", edited_text(['two "words here"', "東京タワー ไทย", "naïve ﬁ ΑΩ", "*:^(-NEAR OR"]), _query),
    Target("spaces", edited_object([_HIERARCHY]), _spaces),
    Target("keys-and-letters", edited_object([_UPLOAD]), _keys),
    Target("account-bodies", st.tuples(edited_object([_LOGIN]), edited_text(_TEXTS)), _account_bodies),
    Target("oauth", st.tuples(edited_object([_CLIENT]), edited_text(_TEXTS)), _oauth),
    Target("registrations", edited_json([_BRIDGE]), _registration, (ConfigError,)),
)
