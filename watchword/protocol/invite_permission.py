"""Whose invites a user takes: what the account data of his clients says, compiled once and then looked up.

Users are judged before servers; among each, what is allowed comes before what is ignored, and that before what is blocked.
Deliberately absent: storing it, and what becomes of an invite.

Spec: client-server-api#minvite_permission_config
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from watchword.base import limits
from watchword.protocol.globs import Globs
from watchword.protocol.ids import UserId, domain_of, host_of

STABLE = "m.invite_permission_config"
UNSTABLE = "org.matrix.msc4155.invite_permission_config"


class Verdict(Enum):
    """What becomes of an invite.

    IGNORE: it is taken, and not shown. BLOCK: it is refused. BLOCK_BY_FILTER: the same, as the form that is not of the
    specification yet has it.
    """

    ALLOW = "allow"
    IGNORE = "ignore"
    BLOCK = "block"
    BLOCK_BY_FILTER = "block by filter"


@dataclass(frozen=True, slots=True)
class _Rules:
    """Globs and what they mean, in the order in which they are asked."""

    users: tuple[tuple[Globs, Verdict], ...]
    servers: tuple[tuple[Globs, Verdict], ...]

    @classmethod
    def of(cls, content: Mapping[str, Any], block: Verdict) -> "_Rules":
        verdicts = (("allowed", Verdict.ALLOW), ("ignored", Verdict.IGNORE), ("blocked", block))
        users = tuple((_globs(content.get(f"{name}_users")), verdict) for name, verdict in verdicts)
        servers = tuple((_globs(content.get(f"{name}_servers"), lower=True), verdict) for name, verdict in verdicts)
        return cls(users, servers)

    def judge(self, sender: UserId) -> Verdict | None:
        """None: no rule is about the sender."""
        for globs, verdict in self.users:
            if globs and globs.match(sender):
                return verdict
        server = domain_of(sender).lower()
        for globs, verdict in self.servers:
            if globs and (globs.match(server) or globs.match(host_of(server))):
                return verdict
        return None


@dataclass(frozen=True, slots=True)
class InvitePermission:
    """A user's permission, ready to be asked. rules: in order; the first that is about a sender counts."""

    rules: tuple[_Rules, ...] = ()
    default: Verdict = Verdict.ALLOW

    @classmethod
    def of(cls, stable: Mapping[str, Any] | None, unstable: Mapping[str, Any] | None) -> "InvitePermission":
        """From the contents of STABLE and UNSTABLE. What is malformed counts as absent."""
        rules = []
        if stable is not None:
            rules.append(_Rules.of(stable, Verdict.BLOCK))
            if stable.get("default_action") == "block":
                # Nobody who shuts the door with one client shall find it open because of what another has left.
                return cls(tuple(rules), Verdict.BLOCK)
        if unstable is not None and unstable.get("enabled", True) is True:
            rules.append(_Rules.of(unstable, Verdict.BLOCK_BY_FILTER))
        return cls(tuple(rules))

    def judge(self, sender: UserId) -> Verdict:
        """What becomes of an invite by this user."""
        for rules in self.rules:
            verdict = rules.judge(sender)
            if verdict is not None:
                return verdict
        return self.default

    def hides(self, sender: UserId) -> bool:
        """Whether an invite by this user that is stored already is not to be shown."""
        return bool(self.rules) and self.judge(sender) is not Verdict.ALLOW


EVERYBODY = InvitePermission()


def _globs(value: object, *, lower: bool = False) -> Globs:
    texts = value[: limits.invite_permission_globs_max] if isinstance(value, list) else ()
    return Globs(text.lower() if lower else text for text in texts if isinstance(text, str))
