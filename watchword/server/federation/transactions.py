"""The body of a transaction, pure: EDUs gathered, and everything spliced from encoded pieces.

Spec: server-server-api#transactions
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watchword.base import limits
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName

_EDU_BYTES_MAX = 4_194_304

Edu = tuple[str, Mapping[str, Any]]
"""(edu_type, content)."""


@dataclass(slots=True)
class EduBundle:
    """The EDUs of one transaction. Receipts share one EDU where they can, presence updates another."""

    _edus: list[bytes] = field(default_factory=list)
    _receipts: list[dict[str, dict[str, dict[str, Any]]]] = field(default_factory=list)
    _presence: list[Mapping[str, Any]] = field(default_factory=list)
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._edus) + len(self._receipts) + bool(self._presence)

    def add(self, edus: Sequence[Edu]) -> bool:
        """Add all of these, or none and say False if there is no room; but an empty bundle takes what fits of them."""
        encoded = [(edu, _encode(edu)) for edu in edus]
        size = sum(len(data) for _, data in encoded)
        room = limits.transaction_edus_max - len(self)
        if len(self) and (len(encoded) > room or self._bytes + size > _EDU_BYTES_MAX):
            return False
        self._bytes += size
        for (kind, content), data in encoded[:room]:
            if kind == "m.receipt":
                self._add_receipts(content)
            elif kind == "m.presence":
                self._presence += content["push"]
            else:
                self._edus.append(data)
        return True

    def _add_receipts(self, content: Mapping[str, Any]) -> None:
        for room_id, kinds in content.items():
            for user_id, receipt in kinds["m.read"].items():
                for bundle in self._receipts:
                    if user_id not in bundle.get(room_id, {}):
                        break
                else:
                    bundle = {}
                    self._receipts.append(bundle)
                bundle.setdefault(room_id, {})[user_id] = receipt

    def encoded(self) -> list[bytes]:
        """Every EDU as canonical JSON."""
        gathered = [
            _encode(("m.receipt", {room_id: {"m.read": users} for room_id, users in bundle.items()}))
            for bundle in self._receipts
        ]
        if self._presence:
            gathered.append(_encode(("m.presence", {"push": self._presence})))
        return self._edus + gathered


def _encode(edu: Edu) -> bytes:
    return canonical_json.encode({"content": edu[1], "edu_type": edu[0]}, strict=False)


def transaction_body(origin: ServerName, now_ms: int, pdus: Sequence[bytes], edus: Sequence[bytes]) -> bytes:
    """Canonical JSON of a transaction around the encoded pieces."""
    assert len(pdus) <= limits.transaction_pdus_max, len(pdus)
    assert len(edus) <= limits.transaction_edus_max, len(edus)
    return b"".join(
        (
            b'{"edus":[',
            b",".join(edus),
            b'],"origin":',
            canonical_json.encode(origin),
            b',"origin_server_ts":',
            str(now_ms).encode(),
            b',"pdus":[',
            b",".join(pdus),
            b"]}",
        )
    )
