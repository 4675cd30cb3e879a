from watchword.base.errors import Refused
from watchword.server.e2ee.commands import KeysAnswer


def test_a_refused_decision_becomes_a_refusal() -> None:
    refusal = Refused("M_FORBIDDEN", "No.", 403).refusal()
    assert (refusal.status, refusal.body()) == (403, {"errcode": "M_FORBIDDEN", "error": "No."})


def test_servers_are_told_neither_user_signing_keys_nor_failures() -> None:
    assert KeysAnswer().for_client().keys() - KeysAnswer().for_server().keys() == {"user_signing_keys", "failures"}
