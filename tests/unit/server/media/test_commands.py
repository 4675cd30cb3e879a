from watchword.base.errors import Refused


def test_a_refused_decision_becomes_a_refusal() -> None:
    refusal = Refused("M_TOO_LARGE", "Too large.", 413).refusal()
    assert (refusal.status, refusal.body()) == (413, {"errcode": "M_TOO_LARGE", "error": "Too large."})
