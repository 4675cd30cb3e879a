"""Whatever a peer sends, the authorisation rules give an answer."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.protocol.auth_event_selection import auth_state_keys
from watchword.protocol.auth_rules import check_auth, check_auth_events
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.relations import annotation_of, relation_of, replied_to, thread_root
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion

USERS = ("@alice:hs", "@bob:other", "bob", "")
TYPES = (
    "m.room.create",
    "m.room.member",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.third_party_invite",
    "m.room.redaction",
    "m.room.aliases",
    "m.room.message",
)
NAMES = (
    *("membership", "join_authorised_via_users_server", "third_party_invite", "signed", "mxid", "token", "signatures"),
    *("public_key", "public_keys", "ed25519:0", "users", "users_default", "events", "notifications", "ban", "invite"),
    *("join_rule", "creator", "additional_creators", "room_version", "m.federate", "m.relates_to", "rel_type", "key"),
    *("event_id", "m.in_reply_to", *USERS),
)
WORDS = ("join", "invite", "leave", "ban", "knock", "public", "restricted", "11", "50", " 1 ", "\ud800", "A" * 43, "A" * 86)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.sampled_from((*WORDS, *USERS)),
    st.text(max_size=5),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=3)), inner, max_size=5)
    ),
    max_leaves=12,
)
contents: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
ids = st.sampled_from(("$a:hs", "$b:other", "$c"))
versions = st.sampled_from(list(ROOM_VERSIONS.values()))

pdus: st.SearchStrategy[Pdu] = st.builds(
    Pdu,
    event_id=ids,
    room_id=st.sampled_from(("!r:hs", "!c", "!a:hs")),
    sender=st.sampled_from(USERS),
    type=st.sampled_from(TYPES),
    state_key=st.one_of(st.none(), st.sampled_from(("", "token", "hs", *USERS))),
    content=contents,
    origin_server_ts=st.integers(),
    depth=st.integers(),
    prev_events=st.lists(ids, max_size=2),
    auth_events=st.lists(ids, max_size=2),
    json=st.just({}),
    redacts=st.one_of(st.none(), ids),
)


def as_state(events: list[Pdu]) -> dict[StateKey, Pdu]:
    return {address: pdu for pdu in events if (address := pdu.state_address) is not None}


@given(pdus, st.lists(pdus, max_size=6), versions)
@settings(max_examples=300, deadline=None)
def test_an_event_is_allowed_or_refused_with_a_reason(pdu: Pdu, state: list[Pdu], version: RoomVersion) -> None:
    reason = check_auth(pdu, as_state(state), version)
    assert reason is None or reason


@given(pdus, st.lists(pdus, max_size=4), pdus, versions)
@settings(max_examples=100, deadline=None)
def test_auth_events_are_accepted_or_refused_with_a_reason(
    pdu: Pdu, cited: list[Pdu], create: Pdu, version: RoomVersion
) -> None:
    reason = check_auth_events(pdu, cited, version, create)
    assert reason is None or reason


@given(pdus, versions)
def test_the_events_to_cite_are_distinct(pdu: Pdu, version: RoomVersion) -> None:
    keys = auth_state_keys(pdu.type, pdu.state_key, pdu.sender, pdu.content, version)
    assert len(keys) == len(set(keys))


@given(contents, versions)
def test_power_levels_are_integers_whatever_they_are_made_of(content: dict[str, Any], version: RoomVersion) -> None:
    levels = PowerLevels.from_content(content, version)
    for user in USERS:
        assert type(levels.user_level(user)) is int
    assert type(levels.required_to_send("x", is_state=True)) is int


@given(contents)
def test_relations_are_read_or_not(content: dict[str, Any]) -> None:
    for read in (relation_of, replied_to, thread_root):
        read(content)
    annotation_of("@a:hs", "m.reaction", content)  # type: ignore[arg-type]
