"""Where nobody keeps entries."""

from typing import cast

from watchword.edge.auditing import NO_AUDIT, Deed
from watchword.edge.request import Request
from watchword.protocol.ids import UserId
from watchword.storage import Tx

ROOT = UserId("@root:here.example")


async def test_nothing_is_kept_and_nothing_is_in_the_way() -> None:
    deed = Deed(ROOT, "user.lock", "@alice:here.example")
    async with NO_AUDIT.act(deed) as entry:
        entry.about("@bob:here.example")
        entry.add(locked=True)
        await entry(cast("Tx", None))
    await NO_AUDIT.entry(deed)(cast("Tx", None))
    await NO_AUDIT.read(deed)


def test_a_deed_says_where_it_was_asked_from() -> None:
    request = Request("GET", "/", client_address="192.0.2.1")
    assert Deed.asked(request, ROOT, "user.show", "@x:y") == Deed(ROOT, "user.show", "@x:y", "192.0.2.1")
