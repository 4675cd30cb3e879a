"""What clients are told about TURN and media servers."""

import base64
import hashlib
import hmac

from watchword.protocol.ids import UserId
from watchword.server.calls import decide
from watchword.server.calls.commands import CallSettings

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
