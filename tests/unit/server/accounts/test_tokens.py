"""The memory of tokens: bounded, forgotten by user, never stale."""

from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts.tokens import KnownToken, TokenCache, locked_account, token_hash, unknown_token

ALICE, BOB = UserId("@alice:x"), UserId("@bob:x")


def known(user_id: UserId) -> KnownToken:
    return KnownToken(Requester(user_id, DeviceId("D"), 1), None, False)


def test_a_user_is_forgotten_with_all_his_tokens() -> None:
    cache = TokenCache()
    for name, user_id in ((b"1", ALICE), (b"2", ALICE), (b"3", BOB)):
        cache.put(name, known(user_id), cache.generation)
    cache.forget(ALICE)
    assert [cache.get(name) is None for name in (b"1", b"2", b"3")] == [True, True, False]


def test_a_look_up_that_was_overtaken_is_not_kept() -> None:
    cache = TokenCache()
    before = cache.generation
    cache.forget(BOB)
    cache.put(b"1", known(ALICE), before)
    assert cache.get(b"1") is None


def test_the_oldest_goes_when_it_is_full() -> None:
    cache = TokenCache(2)
    for name, user_id in ((b"1", ALICE), (b"2", ALICE), (b"3", BOB)):
        cache.put(name, known(user_id), cache.generation)
    assert cache.get(b"1") is None
    assert cache.get(b"3") is not None
    cache.put(b"4", known(BOB), cache.generation)
    cache.forget(ALICE)
    assert cache.get(b"4") is not None


def test_soft_logout_is_said_only_when_the_session_survives() -> None:
    assert "soft_logout" not in unknown_token().body()
    assert unknown_token(session_survives=True).body()["soft_logout"] is True
    assert locked_account().body()["soft_logout"] is True


def test_any_text_has_a_hash() -> None:
    assert len(token_hash("\ud800")) == 32
