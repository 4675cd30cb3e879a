"""Orders of lists of files."""

import pytest

from tests.unit.server.media.world import ALICE, World
from watchword.server.media import inventory_tables


@pytest.mark.parametrize("order", inventory_tables.ORDERS)
@pytest.mark.parametrize("backwards", [False, True])
async def test_every_order_is_one(world: World, order: str, backwards: bool) -> None:
    ids = {await world.upload(b"1"), await world.upload(b"22")}
    async with world.database.read() as view:
        page = await inventory_tables.uploads_of(view, ALICE, order, backwards=backwards, start=0, limit=10)
    assert {upload.media_id for upload in page} == ids
