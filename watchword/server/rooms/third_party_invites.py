"""Inviting by e-mail address or telephone number, and what becomes of such an invite once somebody owns the address.

If an identity server knows whose it is, he is invited as anybody is. Else the identity server keeps the invite, and the room
gets an m.room.third_party_invite; whoever shows later that the address is his brings the identity server's signature, for
which a server in the room makes him a proper invite.

Spec: client-server-api#third-party-invites, server-server-api#third-party-invites
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError, Refusal
from watchword.protocol import event_types, third_party_invites
from watchword.protocol.events import Pdu
from watchword.protocol.ids import ServerName, UserId, domain_of
from watchword.server.rooms import decide
from watchword.server.rooms.commands import ChangeMembership, InviteAddress, PromisedInvite, SendEvent
from watchword.server.rooms.invite_permission import check_permission
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.ports import InvitationServers, InviteExchange, RemoteRooms
from watchword.server.rooms.room import Room
from watchword.server.rooms.writer import NOT_IN_ROOM

logger = logging.getLogger(__name__)

_SHOWN = {
    event_types.NAME: ("room_name", "name"),
    event_types.AVATAR: ("room_avatar_url", "url"),
    event_types.CANONICAL_ALIAS: ("room_alias", "alias"),
    event_types.JOIN_RULES: ("room_join_rules", "join_rule"),
    event_types.CREATE: ("room_type", "type"),
}
"""What the identity server may tell whom it writes to: state → (its name for it, our key)."""


def promise(answer: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(token, the content of m.room.third_party_invite) from what an identity server kept. Raises Refusal 502.

    Spec: identity-service-api#post_matrixidentityv2store-invite
    """
    token, name, keys = answer.get("token"), answer.get("display_name"), answer.get("public_keys")
    public_keys = [
        {"public_key": each["public_key"], "key_validity_url": each["key_validity_url"]}
        for each in (keys[: limits.third_party_invite_keys_max] if isinstance(keys, list) else ())
        if isinstance(each, dict) and isinstance(each.get("public_key"), str) and isinstance(each.get("key_validity_url"), str)
    ]
    if not isinstance(token, str) or not 0 < len(token) <= limits.identifier_bytes_max or not public_keys:
        raise Refusal("M_UNKNOWN", "The identity server did not answer as it should.", status=502)
    content = {"display_name": name if isinstance(name, str) else "", **public_keys[0], "public_keys": public_keys}
    return token, content


def keys_that_signed(signed: Mapping[str, Any], content: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The keys of an m.room.third_party_invite by which `signed` is signed: (public key, where to ask whether it is good)."""
    listed = content.get("public_keys")
    entries = [content, *(listed if isinstance(listed, list | tuple) else ())][: limits.third_party_invite_keys_max]
    found = []
    for entry in entries:
        if isinstance(entry, Mapping) and isinstance(entry.get("public_key"), str):
            single = {"public_key": entry["public_key"]}
            if third_party_invites.is_signed_by_any(signed, third_party_invites.public_keys(single)):
                url = entry.get("key_validity_url")
                found.append((entry["public_key"], url if isinstance(url, str) else None))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class ThirdPartyInvites:
    """Carries such invites through."""

    membership: Membership
    remote: RemoteRooms
    servers: InviteExchange
    identity: InvitationServers

    @property
    def server_name(self) -> ServerName:
        """Who this server is."""
        return self.membership.server_name

    # Inviting

    def check(self, wanted: InviteAddress) -> InviteAddress:
        """The same with the address in its canonical form, if such invites are made here. Raises Refusal."""
        if not self.identity.enabled:
            raise BadRequest("M_THREEPID_DENIED", "This server does not invite by e-mail address or telephone number.")
        medium, address = self.identity.read_address(wanted.medium, wanted.address)
        return replace(wanted, medium=medium, address=address)

    async def invite(self, wanted: InviteAddress) -> None:
        """Invite whoever has an address, or will have it. Raises Refusal."""
        wanted = self.check(wanted)
        room = await self.membership.reader.room(wanted.room_id)
        if room is None or not room.is_alive or room.members.membership.get(wanted.sender) != "join":
            raise Forbidden(NOT_IN_ROOM)
        # Before a stranger's address goes anywhere.
        reason = decide.authorise(room, decide.draft_event(room, _promise_event(wanted, "token", {}), 0))
        if reason is not None:
            raise Forbidden(reason)
        user_id = await self.identity.lookup(wanted.id_server, wanted.id_access_token, (wanted.medium, wanted.address))
        if user_id is not None:
            await self.membership.invite(ChangeMembership(wanted.room_id, wanted.sender, user_id, "invite"))
            return
        body = {
            **await self._about(room, wanted.sender),
            "medium": wanted.medium,
            "address": wanted.address,
            "room_id": wanted.room_id,
            "sender": wanted.sender,
        }
        token, content = promise(await self.identity.store_invite(wanted.id_server, wanted.id_access_token, body))
        await self.membership.writer.send(_promise_event(wanted, token, content))

    async def _about(self, room: Room, sender: UserId) -> dict[str, str]:
        """What the message to the address may say of the room and of whoever invites."""
        keys = {kind: room.state[(kind, "")] for kind in _SHOWN if (kind, "") in room.state}
        found = await self.membership.reader.found(keys.values())
        about = {}
        for kind, event_id in keys.items():
            name, key = _SHOWN[kind]
            value = found[event_id].pdu.content.get(key) if event_id in found else None
            if isinstance(value, str):
                about[name] = value
        profile = await self.membership.member_content(sender)
        for name, key in (("sender_display_name", "displayname"), ("sender_avatar_url", "avatar_url")):
            if isinstance(profile.get(key), str):
                about[name] = profile[key]
        return about

    # Keeping the promise

    async def bound(self, user_id: UserId, invites: Sequence[PromisedInvite]) -> None:
        """A local user has shown that an address is his: have the invites made that waited for it.

        What cannot be made is left: nobody here could do anything about it.
        Spec: server-server-api#put_matrixfederationv13pidonbind
        """
        if domain_of(user_id) != self.server_name or not await self.membership.accounts.exists(user_id):
            return
        for invite in invites[: limits.third_party_invites_at_once]:
            if invite.target == user_id:
                try:
                    await self.keep(invite)
                except (Refusal, PeerError) as error:
                    extra = {"room_id": invite.room_id, "user_id": user_id, "cause": str(error)}
                    logger.info("An invite that waited for an address could not be made.", extra=extra)

    async def keep(self, invite: PromisedInvite) -> None:
        """Make the invite of a local user, here or by a server in the room. Raises Refusal, PeerError."""
        room = await self.membership.reader.room(invite.room_id)
        if room is not None and room.is_alive:
            await self.exchange(invite)
            return
        servers = dict.fromkeys(name for name in (domain_of(invite.sender), domain_of(invite.room_id)) if name)
        event = {
            "type": event_types.MEMBER,
            "room_id": invite.room_id,
            "sender": invite.sender,
            "state_key": invite.target,
            "content": {"membership": "invite", "third_party_invite": {"display_name": "", "signed": dict(invite.signed)}},
        }
        failure: PeerError | None = None
        for server in servers:
            if server != self.server_name:
                try:
                    await self.servers.exchange_third_party_invite(server, invite.room_id, event)
                except PeerError as error:
                    failure = error
                else:
                    return
        raise failure or NotFound("No server that is in the room is known.")

    async def exchange(self, invite: PromisedInvite) -> None:
        """Make the invite in a room that this server is in. Raises Refusal.

        Spec: server-server-api#put_matrixfederationv1exchange_third_party_inviteroomid
        """
        promised = await self._promised(invite)
        await self._check_keys(invite, promised)
        shown = promised.content.get("display_name")
        content: dict[str, Any] = {
            "third_party_invite": {"display_name": shown if isinstance(shown, str) else "", "signed": dict(invite.signed)}
        }
        command = ChangeMembership(invite.room_id, invite.sender, invite.target, "invite", content)
        if domain_of(invite.target) != self.server_name:
            await self.remote.invite(command)
            return
        accounts = self.membership.accounts
        if not await accounts.exists(invite.target):
            raise NotFound("There is no such user here.")
        await check_permission(accounts, invite.target, invite.sender)
        profile = await self.membership.member_content(invite.target)
        await self.remote.invite_here(replace(command, content={**profile, **content}))

    async def _promised(self, invite: PromisedInvite) -> Pdu:
        room = await self.membership.reader.room(invite.room_id)
        if room is None or not room.is_alive:
            raise NotFound("This server is not in such a room.")
        token = invite.signed.get("token")
        if not isinstance(token, str):
            raise BadRequest("M_INVALID_PARAM", "The invite has no token.")
        event_id = room.state.get((event_types.THIRD_PARTY_INVITE, token))
        found = {} if event_id is None else await self.membership.reader.found((event_id,))
        event = next(iter(found.values()), None)
        if event is None or event.pdu.sender != invite.sender or invite.signed.get("mxid") != invite.target:
            raise Forbidden("The room has not promised such an invite.")
        return event.pdu

    async def _check_keys(self, invite: PromisedInvite, promised: Pdu) -> None:
        """The signature must be by a key of the promise that has not been withdrawn. Raises Forbidden."""
        for public_key, url in keys_that_signed(invite.signed, promised.content):
            if url is None or await self.identity.is_key_valid(url, public_key):
                return
        raise Forbidden("No key with which the invite was promised has signed it, or it is good no more.")


def _promise_event(wanted: InviteAddress, token: str, content: Mapping[str, Any]) -> SendEvent:
    return SendEvent(wanted.room_id, wanted.sender, event_types.THIRD_PARTY_INVITE, content, token)
