"""What clients are told about TURN and media servers."""

import base64
import hashlib
import hmac

from watchword.protocol.ids import RoomId, UserId
from watchword.server.calls import decide
from watchword.server.calls.commands import CallSettings, LiveKitSettings, TokenRequest

ALICE = UserId("@alice:here.example")
URIS = ("turn:turn.example:3478?transport=udp", "turns:turn.example:5349")


def test_without_a_turn_server_nothing_is_told() -> None:
    assert decide.turn_server(CallSettings(), ALICE, 0) == {}
    assert decide.turn_server(CallSettings(turn_uris=URIS), ALICE, 0) == {}
    assert decide.turn_server(CallSettings(turn_uris=URIS, user="u"), ALICE, 0) == {}


def test_a_shared_secret_makes_a_password_that_ends() -> None:
    told = decide.turn_server(CallSettings(URIS, shared_secret="shh", lifetime_ms=60_000), ALICE, 1_000_500)
    name = "1060:@alice:here.example"
    password = base64.b64encode(hmac.new(b"shh", name.encode(), hashlib.sha1).digest()).decode()
    assert told == {"username": name, "password": password, "uris": list(URIS), "ttl": 60}


def test_fixed_credentials_are_told_to_everybody() -> None:
    told = decide.turn_server(CallSettings(URIS, user="u", password="p"), ALICE, 0)
    assert (told["username"], told["password"], told["ttl"]) == ("u", "p", 86_400)


def test_media_servers_are_told_in_order() -> None:
    settings = CallSettings(livekit_urls=("https://a.example", "https://b.example"))
    assert decide.rtc_transports(settings) == [
        {"type": "livekit", "livekit_service_url": "https://a.example"},
        {"type": "livekit", "livekit_service_url": "https://b.example"},
    ]


# LiveKit

LIVEKIT = LiveKitSettings("wss://livekit.example", "https://livekit.example", "key", "s" * 32, token_lifetime_ms=60_000)


def test_a_media_server_of_our_own_is_told_in_both_forms() -> None:
    alone = CallSettings(livekit=LIVEKIT)
    assert decide.transports(alone) == [{"type": "m.livekit", "url": "wss://livekit.example"}]
    assert decide.rtc_transports(alone) == [{"type": "livekit", "url": "wss://livekit.example"}]
    assert decide.transports(CallSettings(livekit_urls=("https://a.example",))) == []


def test_a_service_beside_it_is_for_older_clients() -> None:
    both = CallSettings(livekit_urls=("https://a.example", "https://b.example"), livekit=LIVEKIT)
    assert decide.rtc_transports(both) == [
        {"type": "livekit", "livekit_service_url": "https://a.example", "url": "wss://livekit.example"},
        {"type": "livekit", "livekit_service_url": "https://b.example"},
    ]


def test_a_media_server_learns_no_names() -> None:
    # The vectors of the proposal.
    wanted = TokenRequest("wss://x", RoomId("!roomid:example.com"), "slot1234", "memberABC")
    assert decide.media_room(wanted) == "O8437W3+jmzMVjoIP3tNwbm+XxHQk2iKpOA7aqw3qSc"
    assert decide.participant(UserId("@alice:example.com"), wanted) == "M3VnsLXrkbxIDINXO64u8PZzFyD9ZYFiQULR2dshWYs"


def test_a_token_is_good_for_one_room_and_a_while() -> None:
    claims = decide.token_claims(LIVEKIT, "who", "where", 1_000_999, may_publish=False)
    assert (claims["iss"], claims["sub"], claims["nbf"], claims["exp"]) == ("key", "who", 1_000, 1_060)
    assert claims["video"] == {
        "room": "where",
        "roomCreate": False,
        "roomJoin": True,
        "canPublish": False,
        "canSubscribe": True,
        "canUpdateOwnMetadata": False,
        "hidden": False,
    }


def test_our_own_token_makes_rooms_and_is_soon_over() -> None:
    claims = decide.own_claims(LIVEKIT, 1_000_000)
    assert (claims["nbf"], claims["exp"], claims["video"]) == (940, 1_060, {"roomCreate": True})
