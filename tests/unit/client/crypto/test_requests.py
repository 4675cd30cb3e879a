"""Requests know the bodies that are posted."""

from watchword.client.crypto.requests import KeysClaim, KeysQuery


def test_a_query_asks_for_every_device_of_each_user() -> None:
    assert KeysQuery("1", ["@a:b", "@c:d"]).body == {"device_keys": {"@a:b": [], "@c:d": []}}


def test_a_claim_names_user_device_and_algorithm() -> None:
    wanted = {"@a:b": {"D": "signed_curve25519"}}
    assert KeysClaim("1", wanted).body == {"one_time_keys": wanted}
