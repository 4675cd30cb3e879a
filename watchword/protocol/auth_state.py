"""What the authorisation rules read of a room's state, parsed once, so that a typical message costs two look-ups.

A room in memory builds one `AuthState` and keeps it until its create, power-levels or join-rules event changes; members
and third-party invites are asked through callables, so that a membership change costs nothing.
Deliberately absent: the rules (`auth_rules`, `auth_membership`, `auth_power_levels`).
"""

from collections.abc import Callable, Mapping
from typing import Self

import msgspec

from watchword.protocol import event_types
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import RoomId, UserId, domain_of, room_id_of_create
from watchword.protocol.power_levels import PowerLevels, creators_of
from watchword.protocol.room_versions import RoomVersion

CREATE_KEY: StateKey = (event_types.CREATE, "")
POWER_LEVELS_KEY: StateKey = (event_types.POWER_LEVELS, "")
JOIN_RULES_KEY: StateKey = (event_types.JOIN_RULES, "")


class AuthState(msgspec.Struct, frozen=True):
    """One room state as the authorisation rules see it.

    create, power_levels_event: None if the state has none.
    join_rule: `invite` if there is no join-rules event; "" if what it says is not text.
    membership_of: user ID → membership, None if the state has no member event of the user.
    third_party_invite: token → m.room.third_party_invite event, if the state has it.
    only_local: the only server that may take part (`m.federate` is false), else None.
    """

    version: RoomVersion
    create: Pdu | None
    power_levels_event: Pdu | None
    power_levels: PowerLevels
    join_rule: str
    membership_of: Callable[[UserId], str | None]
    third_party_invite: Callable[[str], Pdu | None]
    room_id: RoomId | None
    only_local: str | None

    @classmethod
    def build(
        cls,
        version: RoomVersion,
        create: Pdu | None,
        power_levels_event: Pdu | None,
        join_rules: Pdu | None,
        membership_of: Callable[[UserId], str | None],
        third_party_invite: Callable[[str], Pdu | None],
        power_levels: PowerLevels | None = None,
    ) -> Self:
        """From the few events that matter. power_levels: those of `power_levels_event`, if the caller has them parsed."""
        room_id: RoomId | None = None
        only_local: str | None = None
        if create is not None:
            room_id = room_id_of_create(create.event_id) if version.room_id_is_create_hash else create.room_id
            only_local = domain_of(create.sender) if create.content.get("m.federate") is False else None
        return cls(
            version=version,
            create=create,
            power_levels_event=power_levels_event,
            power_levels=power_levels or parse_power_levels(power_levels_event, create, version),
            join_rule=join_rule_of(join_rules),
            membership_of=membership_of,
            third_party_invite=third_party_invite,
            room_id=room_id,
            only_local=only_local,
        )

    @classmethod
    def of(cls, state: Mapping[StateKey, Pdu], version: RoomVersion) -> Self:
        """From a state map of events."""

        def membership_of(user_id: UserId) -> str | None:
            return stated_membership(state.get((event_types.MEMBER, user_id)))

        def third_party_invite(token: str) -> Pdu | None:
            return state.get((event_types.THIRD_PARTY_INVITE, token))

        return cls.build(
            version,
            state.get(CREATE_KEY),
            state.get(POWER_LEVELS_KEY),
            state.get(JOIN_RULES_KEY),
            membership_of,
            third_party_invite,
        )

    @property
    def allows_knocking(self) -> bool:
        """Whether the join rule lets strangers knock. Spec: rooms/v10#authorization-rules"""
        version = self.version
        return (version.knocking and self.join_rule == "knock") or (
            version.knock_restricted_joins and self.join_rule == "knock_restricted"
        )

    @property
    def allows_restricted_joins(self) -> bool:
        """Whether the join rule lets those join whom a member vouches for. Spec: rooms/v10#authorization-rules"""
        version = self.version
        return (version.restricted_joins and self.join_rule == "restricted") or (
            version.knock_restricted_joins and self.join_rule == "knock_restricted"
        )


def parse_power_levels(power_levels: Pdu | None, create: Pdu | None, version: RoomVersion) -> PowerLevels:
    """The levels that these two events of a room state mean together."""
    if power_levels is not None and not version.privileged_creators:
        return PowerLevels.from_content(power_levels.content, version)
    creators = () if create is None else creators_of(create, version)
    if power_levels is None:
        return PowerLevels.absent(creators, version)
    return PowerLevels.from_content(power_levels.content, version, creators)


def stated_membership(member: Pdu | None) -> str | None:
    """The membership that a member event states; None if there is none."""
    if member is None:
        return None
    membership = member.content.get("membership")
    return membership if isinstance(membership, str) else None


def join_rule_of(join_rules: Pdu | None) -> str:
    """The join rule that an m.room.join_rules event states; `invite` if it is absent, "" if it is not text."""
    rule = "invite" if join_rules is None else join_rules.content.get("join_rule", "invite")
    return rule if isinstance(rule, str) else ""
