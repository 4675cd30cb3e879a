from typing import Any

import pytest

from tests.unit.server.e2ee.world import (
    ALICE,
    BOB,
    CAROL,
    PHONE,
    THERE,
    cross_signing_key,
    device_keys,
    one_time_key,
    public,
    sign,
    signer,
)
from watchword.base import limits
from watchword.base.errors import Refused
from watchword.protocol.ids import DeviceId
from watchword.server.e2ee import decide
from watchword.server.e2ee.commands import DirectMessage, KeysUpload, PublishedKey, Signature
from watchword.server.e2ee.decide import Step

C = DeviceId("C")


def errcode(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return answer.errcode


# Publishing


def test_an_empty_upload_brings_nothing() -> None:
    assert decide.keys_upload({"device_keys": None, "one_time_keys": None}, ALICE, PHONE) == KeysUpload(None, [], [])


@pytest.mark.parametrize(
    "keys",
    [
        "text",
        {**device_keys(), "algorithms": "a"},
        {**device_keys(), "algorithms": [1]},
        {**device_keys(), "keys": []},
        {**device_keys(), "keys": {"a": 1}},
        {**device_keys(), "signatures": None},
        {**device_keys(), "signatures": {ALICE: "x"}},
        {**device_keys(), "signatures": {ALICE: {"a": 1}}},
        {**device_keys(), "signatures": {BOB: {}}},
        {**device_keys(), "extra": 0.5},
    ],
)
def test_device_keys_of_the_wrong_shape_are_refused(keys: object) -> None:
    assert errcode(decide.keys_upload({"device_keys": keys}, ALICE, PHONE)) == "M_BAD_JSON"


def test_what_others_sign_and_say_about_a_device_is_not_stored() -> None:
    keys = {**device_keys(), "unsigned": {"device_display_name": "x"}}
    keys["signatures"] = {**keys["signatures"], BOB: {"ed25519:x": "y"}}
    assert decide.device_keys(keys, ALICE, PHONE) == decide.encoded(device_keys())


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ([], "M_BAD_JSON"),
        ({"noalgorithm": "x"}, "M_INVALID_PARAM"),
        ({":x": "x"}, "M_INVALID_PARAM"),
        ({"a:": "x"}, "M_INVALID_PARAM"),
        ({"a:" + "x" * 300: "x"}, "M_INVALID_PARAM"),
        ({"a:1": 1}, "M_BAD_JSON"),
        ({"a:1": {"key": 1, "signatures": {}}}, "M_BAD_JSON"),
        ({"a:1": {"key": "x"}}, "M_BAD_JSON"),
        ({"a:1": {"key": "x", "signatures": {}, "n": 0.5}}, "M_BAD_JSON"),
    ],
)
def test_one_time_keys_of_the_wrong_shape_are_refused(keys: object, code: str) -> None:
    refused = decide.published_keys(keys, "one_time_keys")
    assert errcode(refused) == code


def test_a_malformed_list_refuses_the_whole_upload() -> None:
    assert errcode(decide.keys_upload({"fallback_keys": {"x": "y"}}, ALICE, PHONE)) == "M_INVALID_PARAM"


def test_one_algorithm_has_one_fallback_key() -> None:
    body = {"fallback_keys": {"a:1": one_time_key("1"), "a:2": one_time_key("2")}}
    assert errcode(decide.keys_upload(body, ALICE, PHONE)) == "M_INVALID_PARAM"


def test_keys_are_bounded_for_each_upload_and_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "one_time_keys_upload_max", 1)
    monkeypatch.setattr(limits, "one_time_keys_per_device_max", 5)
    assert errcode(decide.published_keys({"a:1": "x", "a:2": "x"}, "one_time_keys")) == "M_INVALID_PARAM"
    key = PublishedKey("a", "1", b'"x"')
    assert decide.new_one_time_keys([key], {}, 4) == [key]
    assert errcode(decide.new_one_time_keys([key], {}, 5)) == "M_INVALID_PARAM"
    assert decide.new_one_time_keys([key], {("a", "1"): key.content}, 5) == []


# Cross-signing

MASTER = cross_signing_key("master", 5)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("text", "M_BAD_JSON"),
        ({**MASTER, "keys": {}}, "M_INVALID_PARAM"),
        ({**MASTER, "keys": "x"}, "M_INVALID_PARAM"),
        ({**MASTER, "keys": {"ed25519:other": public(5)}}, "M_INVALID_PARAM"),
        ({**MASTER, "keys": {"ed25519:AAAA": "AAAA"}}, "M_INVALID_PARAM"),
        ({**MASTER, "keys": {"ed25519:?": "?"}}, "M_INVALID_PARAM"),
        ({**MASTER, "keys": {"ed25519:1": 1}}, "M_INVALID_PARAM"),
        ({**MASTER, "usage": ["master", "self_signing"]}, "M_INVALID_PARAM"),
        ({**MASTER, "signatures": []}, "M_BAD_JSON"),
        ({**MASTER, "extra": 0.5}, "M_BAD_JSON"),
    ],
)
def test_cross_signing_keys_of_the_wrong_shape_are_refused(key: object, code: str) -> None:
    assert errcode(decide.cross_signing_key(key, ALICE, "master")) == code


def test_a_new_master_key_brings_its_subkeys_along_even_if_they_stay() -> None:
    stored = {"master": MASTER, "self_signing": cross_signing_key("self_signing", 6, by=5)}
    body = {"master_key": cross_signing_key("master", 8), "self_signing_key": cross_signing_key("self_signing", 6, by=8)}
    changed = decide.cross_signing_upload(body, ALICE, stored, ())
    assert changed == {"master": body["master_key"], "self_signing": body["self_signing_key"]}


def test_a_signature_is_checked_with_the_key_it_names() -> None:
    signed = sign(MASTER, ALICE, PHONE, signer(1))
    assert decide.is_signed_by(signed, ALICE, public(1), PHONE)
    assert not decide.is_signed_by(signed, ALICE, public(2), PHONE)
    assert not decide.is_signed_by(signed, ALICE, public(1))
    assert not decide.is_signed_by(signed, BOB, public(1), PHONE)
    assert not decide.is_signed_by(signed, ALICE, "no key", PHONE)
    assert not decide.is_signed_by({**MASTER, "signatures": {ALICE: {f"ed25519:{PHONE}": "short"}}}, ALICE, public(1), PHONE)


def test_signatures_by_keys_that_may_not_sign_here_do_not_count() -> None:
    signed = sign(sign(MASTER, ALICE, PHONE, signer(1)), ALICE, "OTHER", signer(2))
    found = decide.new_signatures(signed, MASTER, (ALICE, public(5)), (ALICE, {PHONE: public(1)}))
    assert not isinstance(found, Refused)
    assert [signature.signing_key_id for signature in found] == [f"ed25519:{PHONE}"]
    assert errcode(decide.new_signatures(signed, MASTER, (ALICE, "x"), (ALICE, {}))) == "M_INVALID_SIGNATURE"


def test_a_viewer_sees_the_owners_signatures_and_his_own_on_the_right_target() -> None:
    rows = [Signature(CAROL, "k", signer_id, f"ed25519:{signer_id}", "s") for signer_id in (CAROL, ALICE, BOB)]
    rows.append(Signature(CAROL, "other", CAROL, "ed25519:x", "s"))
    key: dict[str, Any] = {"signatures": {CAROL: {"ed25519:y": "s"}}}
    shown = decide.with_signatures(key, "k", rows, ALICE)["signatures"]
    assert shown == {CAROL: {"ed25519:y": "s", f"ed25519:{CAROL}": "s"}, ALICE: {f"ed25519:{ALICE}": "s"}}
    assert decide.with_signatures(key, "k", rows, None)["signatures"].keys() == {CAROL}
    assert key == {"signatures": {CAROL: {"ed25519:y": "s"}}}
    assert decide.with_signatures({"a": 1}, "k", (), ALICE) == {"a": 1}


# Other servers


@pytest.mark.parametrize(
    ("known", "stream_id", "prev_ids", "step"),
    [
        (5, 6, [5], Step.APPLY),
        (5, 6, [], Step.APPLY),
        (5, 9, [3, 5], Step.APPLY),
        (5, 7, [6], Step.FETCH),
        (5, 7, [5, 6], Step.FETCH),
        (5, 5, [4], Step.IGNORE),
        (5, 4, [9], Step.IGNORE),
    ],
)
def test_an_update_follows_repeats_or_leaves_a_gap(known: int, stream_id: int, prev_ids: list[int], step: Step) -> None:
    assert decide.next_step(known, stream_id, prev_ids) is step


def test_a_deleted_device_has_neither_keys_nor_name() -> None:
    content = {"user_id": CAROL, "device_id": C, "stream_id": 1, "deleted": True, "device_display_name": "x"}
    update = decide.device_list_update(THERE, content)
    assert not isinstance(update, Refused)
    assert (update.is_deleted, update.keys, update.display_name, update.prev_ids) == (True, None, None, [])


@pytest.mark.parametrize("device", ["text", {}, {"device_id": "x" * 300}, {"device_id": C, "keys": {}}])
def test_a_device_of_the_wrong_shape_is_passed_over_in_a_list(device: object) -> None:
    good = {"device_id": "D", "device_display_name": 1}
    found = decide.remote_device_list(CAROL, {"user_id": CAROL, "stream_id": 1, "devices": [device, good]})
    assert not isinstance(found, Refused)
    assert [(one.device_id, one.display_name) for one in found.devices] == [("D", None)]


def test_a_device_may_have_no_keys_and_a_long_name_is_cut() -> None:
    device = decide.remote_device(CAROL, {"device_id": C, "device_display_name": "x" * 999})
    assert device is not None
    assert (device.keys, len(device.display_name or "")) == (None, limits.device_name_characters_max)
    odd = decide.remote_device(CAROL, {"device_id": C, "device_display_name": "\ud800"})
    assert odd is not None
    assert odd.display_name is None


def test_a_good_direct_message_is_read() -> None:
    content = {"sender": CAROL, "type": "t", "message_id": "i", "messages": {ALICE: {"*": {}}}}
    assert decide.direct_message(THERE, content) == DirectMessage(CAROL, "t", "i", {ALICE: {"*": {}}})
    assert errcode(decide.direct_message(THERE, {**content, "type": "t" * 999})) == "M_INVALID_PARAM"


def test_messages_must_be_an_object() -> None:
    assert errcode(decide.to_device_messages([])) == "M_BAD_JSON"
