"""A gateway takes text messages as JSON."""

import pytest

from tests.unit.server.accounts.threepids.outside import a_desk, a_fetcher
from watchword.base.errors import PeerError
from watchword.server.accounts.threepids.sms import SmsGateway


async def test_a_message_is_posted_with_its_number() -> None:
    async with a_desk() as desk, a_fetcher() as fetcher:
        await SmsGateway(fetcher, desk.url + "/sms").send("491511234567", "Hello")
    assert desk.taken == [{"to": "+491511234567", "message": "Hello"}]
    assert "Authorization" not in desk.headers[0]


async def test_a_gateway_that_refuses_is_an_error() -> None:
    async with a_desk() as desk, a_fetcher() as fetcher:
        desk.status = 500
        with pytest.raises(PeerError):
            await SmsGateway(fetcher, desk.url, "token").send("491511234567", "Hello")
    assert desk.headers[0]["Authorization"] == "Bearer token"
