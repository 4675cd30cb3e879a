"""What is announced, and that nothing else is."""

from typing import Any

import orjson
import pytest

from watchword.base.errors import NotFound
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import UserId
from watchword.server.discovery.endpoints import ENDPOINTS
from watchword.server.discovery.service import Discovery
from watchword.server.discovery.settings import Contact, DiscoverySettings


async def asked(path: str, settings: DiscoverySettings | None = None, **requester: Any) -> Any:
    endpoint = next(row for row in ENDPOINTS if row.path == path)
    who = Requester(UserId("@alice:here.example"), None, 1, **requester)
    reply = await endpoint.handler(Request("GET", path), who, Discovery(settings or DiscoverySettings()))
    assert isinstance(reply, Reply)
    return orjson.loads(reply.body)


async def test_every_version_from_1_1_to_1_19_is_listed() -> None:
    body = await asked("/_matrix/client/versions", DiscoverySettings(unstable_features={"org.x": True}))
    assert [version for version in body["versions"] if version.startswith("v")] == [f"v1.{n}" for n in range(1, 20)]
    assert "r0.6.1" in body["versions"]
    assert body["unstable_features"] == {"org.x": True}


@pytest.mark.parametrize("name", ["client", "server", "support", "policy_server"])
async def test_what_is_not_configured_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        await asked(f"/.well-known/matrix/{name}")


async def test_well_known_files_say_what_is_configured() -> None:
    settings = DiscoverySettings(
        client_base_url="https://matrix.here.example",
        identity_base_url="https://id.here.example",
        client_extra={"org.x": 1, "m.homeserver": "overridden"},
        server_delegation="matrix.here.example:443",
        support_contacts=(Contact("m.role.admin", matrix_id="@root:here.example"),),
        support_page="https://here.example/help",
    )
    assert await asked("/.well-known/matrix/client", settings) == {
        "org.x": 1,
        "m.homeserver": {"base_url": "https://matrix.here.example"},
        "m.identity_server": {"base_url": "https://id.here.example"},
    }
    assert await asked("/.well-known/matrix/server", settings) == {"m.server": "matrix.here.example:443"}
    assert await asked("/.well-known/matrix/support", settings) == {
        "contacts": [{"role": "m.role.admin", "matrix_id": "@root:here.example"}],
        "support_page": "https://here.example/help",
    }


async def test_capabilities_name_all_room_versions() -> None:
    found = (await asked("/_matrix/client/v3/capabilities"))["capabilities"]
    assert found["m.room_versions"]["default"] == "12"
    assert set(found["m.room_versions"]["available"]) == {str(n) for n in range(1, 13)}
    assert found["m.change_password"] == {"enabled": True}
    assert found["m.3pid_changes"] == {"enabled": False}
    assert "m.account_moderation" not in found


async def test_only_administrators_are_told_that_they_may_moderate() -> None:
    path = "/_matrix/client/v3/capabilities"
    found = (await asked(path, is_admin=True))["capabilities"]
    assert found["m.account_moderation"] == {"lock": True, "suspend": True}
    off = DiscoverySettings(may_lock=False, may_suspend=False)
    assert "m.account_moderation" not in (await asked(path, off, is_admin=True))["capabilities"]


async def test_guests_may_set_their_name_alone() -> None:
    found = (await asked("/_matrix/client/v3/capabilities", kind=Kind.GUEST))["capabilities"]
    assert found["m.change_password"] == {"enabled": False}
    assert found["m.profile_fields"]["allowed"] == ["displayname"]


async def test_who_signed_in_through_oauth_is_told_what_needs_the_account_page() -> None:
    settings = DiscoverySettings(may_get_login_token=True)
    path = "/_matrix/client/v3/capabilities"
    assert (await asked(path, settings))["capabilities"]["m.get_login_token"] == {"enabled": True}
    found = (await asked(path, settings, kind=Kind.OAUTH))["capabilities"]
    assert [found[name]["enabled"] for name in ("m.get_login_token", "m.change_password", "m.3pid_changes")] == [False] * 3
    assert "m.account_moderation" in (await asked(path, settings, kind=Kind.OAUTH, is_admin=True))["capabilities"]


async def test_clients_are_told_how_long_events_may_wait_if_they_may() -> None:
    path, names = "/_matrix/client/v3/capabilities", {"m.delayed_events", "org.matrix.msc4140.delayed_events"}
    found = (await asked(path, DiscoverySettings(delayed_events=(60_000, 5))))["capabilities"]
    assert all(found[name] == {"max_delay_ms": 60_000, "max_scheduled": 5} for name in names)
    assert not names & set((await asked(path))["capabilities"])


async def test_the_key_of_a_policy_server_is_announced() -> None:
    settings = DiscoverySettings(policy_server_key="A" * 43)
    assert await asked("/.well-known/matrix/policy_server", settings) == {"public_keys": {"ed25519": "A" * 43}}
