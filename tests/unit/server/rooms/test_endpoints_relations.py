"""The doors to relations: who may knock, and that no spelling of a path is lost."""

from urllib.parse import quote

from tests.unit.server.rooms.relating import V1, refer
from tests.unit.server.rooms.world import ALICE, World
from watchword.edge.endpoint import Auth
from watchword.server.rooms.endpoints_relations import ENDPOINTS


def test_all_need_an_account() -> None:
    assert {endpoint.auth for endpoint in ENDPOINTS} == {Auth.CLIENT}
    assert not any(endpoint.guests for endpoint in ENDPOINTS)


async def test_types_may_hold_any_character(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await refer(world, ALICE, room_id, said)
    path = f"{V1}/{room_id}/relations/{said}/m.reference/{quote('a/b c', safe='')}"
    assert await world.ask(ALICE, "GET", path) == {"chunk": []}
    assert await world.refused(ALICE, "GET", f"{V1}/{room_id}/relations/nonsense") == (400, "M_INVALID_PARAM")
