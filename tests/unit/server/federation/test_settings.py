"""Lists of servers."""

import pytest

from watchword.base.errors import Forbidden, PeerError
from watchword.protocol.ids import ServerName
from watchword.server.federation.settings import FederationSettings

A = ServerName("a.example")


@pytest.mark.parametrize(
    ("allow", "deny", "name", "may"),
    [
        (None, (), "b.example", True),
        ((), (), "b.example", False),
        (("*.example",), (), "B.EXAMPLE", True),
        (("*.example",), ("b.*",), "b.example", False),
        (None, ("*.Example",), "b.example", False),
        (("b.example",), (), "b.example:1", False),
    ],
)
def test_who_is_on_the_lists(allow: tuple[str, ...] | None, deny: tuple[str, ...], name: str, may: bool) -> None:
    settings = FederationSettings(A, allow=allow, deny=deny)
    assert settings.may_talk_with(name) is may
    if may:
        settings.require_incoming(ServerName(name))
        settings.require_outgoing(ServerName(name))
    else:
        with pytest.raises(Forbidden):
            settings.require_incoming(ServerName(name))
        with pytest.raises(PeerError):
            settings.require_outgoing(ServerName(name))


def test_a_server_does_not_ask_itself() -> None:
    with pytest.raises(PeerError):
        FederationSettings(A).require_outgoing(A)
