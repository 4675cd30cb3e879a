import pytest

from tests.unit.server.e2ee.world import World
from watchword.base.errors import Refusal

_UNDER = "unstable/org.matrix.msc3814.v1/"


async def test_a_token_of_another_server_is_refused(world: World) -> None:
    with pytest.raises(Refusal, match="M_INVALID_PARAM"):
        await world.ask("POST", "dehydrated_device/DRY/events", {"next_batch": "s12_3"}, under=_UNDER)


async def test_the_older_form_gives_its_token_in_the_query(world: World) -> None:
    with pytest.raises(Refusal, match="M_FORBIDDEN"):
        await world.ask("GET", "dehydrated_device/DRY/events", query="next_batch=3", under=_UNDER)
