"""Policy servers: which one a room has, which events it must sign, and whether it did.

A policy server signs as the server it is, always with the key `ed25519:policy_server`; the key itself is in the room's state.
Deliberately absent: asking one.

Spec: server-server-api#policy-servers, client-server-api#mroompolicy
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base.errors import ProtocolError
from watchword.protocol.events import Pdu
from watchword.protocol.ids import ServerName, parse_server_name
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.signatures import VerifyKey, add_signature, signatures_of, verify_event

KEY_ID = "ed25519:policy_server"
POLICY = "m.room.policy"
POLICY_UNSTABLE = "org.matrix.msc4284.policy"
POLICY_TYPES = (POLICY, POLICY_UNSTABLE)
"""Both with an empty state key; the first that is valid counts."""


@dataclass(frozen=True, slots=True)
class PolicyServer:
    """A room's policy server. is_unstable: it was set, and is asked, under the name from before it was specified."""

    via: ServerName
    key: VerifyKey
    is_unstable: bool = False

    def has_signed(self, raw: Mapping[str, Any], version: RoomVersion) -> bool:
        """Whether an event carries its valid signature."""
        return verify_event(raw, version, self.via, self.key)

    def with_signature(self, raw: Mapping[str, Any], answer: Mapping[str, Any], version: RoomVersion) -> dict[str, Any] | None:
        """The event with the signature that it answered, every other one kept; None if that is not valid."""
        signature = signatures_of({"signatures": answer}, self.via).get(KEY_ID)
        if signature is None:
            return None
        signed = add_signature(raw, self.via, KEY_ID, signature)
        return signed if self.has_signed(signed, version) else None


def policy_server_of(kind: str, content: Mapping[str, Any]) -> PolicyServer | None:
    """The policy server that a state event of one of POLICY_TYPES names; None if it names none as it must.

    It is in use only while a user of that server is joined.
    """
    via = content.get("via")
    keys = content.get("public_keys")
    key = keys.get("ed25519") if isinstance(keys, Mapping) else None
    if key is None and kind == POLICY_UNSTABLE:
        key = content.get("public_key")
    if not isinstance(via, str) or not isinstance(key, str):
        return None
    try:
        return PolicyServer(parse_server_name(via), VerifyKey.from_base64(KEY_ID, key), kind == POLICY_UNSTABLE)
    except ProtocolError:
        return None


def needs_signature(pdu: Pdu) -> bool:
    """Whether a policy server has a say in an event: in all but those that set or remove it."""
    return not (pdu.type in POLICY_TYPES and pdu.state_key == "")
