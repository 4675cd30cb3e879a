import json
from pathlib import Path
from typing import Any

import pytest

from watchword.base import limits
from watchword.protocol.room_versions import DEFAULT_ROOM_VERSION, ROOM_VERSIONS, EventIdFormat

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "room-versions.json").read_text())
ID_FORMATS = {
    'opaque "$local:domain", in the event': EventIdFormat.OPAQUE,
    "standard base64 of the reference hash": EventIdFormat.HASH,
    "URL-safe base64 of the reference hash": EventIdFormat.URL_SAFE_HASH,
}


def test_all_room_versions_are_there_and_the_default_is_the_specified_one() -> None:
    assert ROOM_VERSIONS.keys() == VECTORS["versions"].keys()
    assert VECTORS["default_for_new_rooms"] == DEFAULT_ROOM_VERSION


@pytest.mark.parametrize(("identifier", "facts"), VECTORS["versions"].items())
def test_the_flags_of_a_room_version_follow_the_specification(identifier: str, facts: dict[str, Any]) -> None:
    version = ROOM_VERSIONS[identifier]
    keeps = facts["redaction_keeps"]
    joins = facts["join_rules"]
    assert version.identifier == identifier
    assert version.event_id_format is ID_FORMATS[facts["event_id_format"]]
    assert version.event_ids_in_events is facts["event_id_format"].startswith("opaque")
    assert version.state_resolution.value == facts["state_resolution"]
    assert version.room_id_is_create_hash is not facts["create_event_in_auth_events"]
    assert version.room_id_is_create_hash is facts["room_id"].startswith("hash")
    assert version.creator_in_content is facts["content_creator_required"]
    assert version.privileged_creators is facts["creators_have_infinite_power"]
    assert version.privileged_creators is facts["additional_creators"]
    assert version.redactions_in_auth_rules is (facts["redaction_allowed_by"] == "auth rules")
    assert version.redacts_in_content is facts["redacts_in_content"]
    assert version.aliases_auth_rule is facts["m_room_aliases_auth_rule"]
    assert version.strict_canonical_json is facts["strict_canonical_json"]
    assert version.key_validity_enforced is facts["key_validity_enforced"]
    assert version.notifications_in_power_levels is facts["notifications_in_power_levels_auth"]
    assert version.integer_power_levels is not facts["power_levels_as_strings"]
    assert version.float_power_levels is facts["power_levels_as_floats"]
    assert (version.knocking, version.restricted_joins, version.knock_restricted_joins) == (
        "knock" in joins,
        "restricted" in joins,
        "knock_restricted" in joins,
    )
    assert version.redaction_keeps_origin is keeps["top_level_origin_membership_prev_state"]
    assert version.redaction_keeps_aliases is keeps["m.room.aliases"]
    assert version.redaction_keeps_join_rules_allow is keeps["join_rules.allow"]
    assert version.redaction_keeps_authorising_user is keeps["member.join_authorised_via_users_server"]
    assert version.redaction_keeps_create_content is keeps["create.*"]
    assert version.redaction_keeps_create_content is keeps["member.third_party_invite.signed"]
    assert version.redaction_keeps_create_content is keeps["power_levels.invite"]
    assert version.redaction_keeps_create_content is keeps["redaction.redacts"]


def test_the_limits_are_those_of_the_specification() -> None:
    bounds = VECTORS["limits"]
    assert limits.event_bytes_max == bounds["event_bytes"]
    assert limits.identifier_bytes_max == bounds["sender_room_id_event_id_type_state_key_bytes"]
    assert limits.prev_events_max == bounds["prev_events"]
    assert limits.auth_events_max == bounds["auth_events"]
    assert limits.transaction_pdus_max == bounds["transaction_pdus"]
    assert limits.transaction_edus_max == bounds["transaction_edus"]
    assert limits.room_version_characters_max == bounds["room_version_characters"]
    assert limits.depth_max == bounds["depth_max"]
