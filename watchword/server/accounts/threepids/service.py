"""The addresses of an account: adding what was proved, removing, publishing at identity servers and taking that back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden, Refusal
from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids import tables
from watchword.server.accounts.threepids.commands import Credentials, OwnThreepid, Purpose, Threepid, ThreepidSettings
from watchword.server.accounts.threepids.identity import IdentityServers
from watchword.server.accounts.threepids.proofs import Proofs
from watchword.storage import Also, Database


@dataclass(frozen=True)
class Threepids:
    """Keeps them. Who asks was proved before."""

    database: Database
    clock: Clock
    settings: ThreepidSettings
    proofs: Proofs
    identity: IdentityServers

    async def of_user(self, user_id: UserId) -> Sequence[OwnThreepid]:
        """A user's addresses, the oldest first. Spec: client-server-api#get_matrixclientv3account3pid"""
        async with self.database.read() as tx:
            return await tables.threepids(tx, user_id)

    def require_changes(self) -> None:
        """Raises Forbidden where users may not add addresses. Spec: client-server-api#m3pid_changes-capability"""
        if not self.settings.changes or not (self.settings.email or self.settings.msisdn):
            raise Forbidden("This server lets nobody add addresses.")

    async def add(self, user_id: UserId, shown: Credentials) -> None:
        """Add an address that was proved for this. Raises BadRequest M_THREEPID_AUTH_FAILED or M_THREEPID_IN_USE.

        Spec: client-server-api#post_matrixclientv3account3pidadd
        """
        proof = await self.proofs.proof(Purpose.ADD, shown)
        if proof is None:
            raise BadRequest("M_THREEPID_AUTH_FAILED", "This address was not proved, or too long ago.")
        async with self.database.write() as tx:
            own = await tables.threepids(tx, user_id)
            if len(own) >= limits.threepids_per_user_max:
                raise Forbidden("You have too many addresses already.")
            owned = OwnThreepid(proof.threepid, proof.validated_ts, self.clock.now_ms())
            if not await tables.insert_threepid(tx, user_id, owned):
                raise BadRequest("M_THREEPID_IN_USE", "This address belongs to another account.")
            await tables.delete_validation(tx, proof.sid)

    async def bind(self, user_id: UserId, id_server: str, access_token: str, shown: Credentials) -> None:
        """Publish an address at an identity server and remember that. Raises Refusal.

        Spec: client-server-api#post_matrixclientv3account3pidbind
        """
        threepid = await self.identity.bind(id_server, access_token, shown.sid, shown.client_secret, user_id)
        async with self.database.write() as tx:
            if len(await tables.bindings(tx, user_id)) >= limits.threepids_per_user_max:
                raise Forbidden("You have published too many addresses already.")
            await tables.insert_binding(tx, user_id, threepid, id_server)

    async def unbind(self, user_id: UserId, threepid: Threepid, id_server: str | None) -> bool:
        """Take an address back from an identity server; False if that is not possible. Raises Refusal: theirs.

        id_server: None for every one that this server published it at.
        Spec: client-server-api#post_matrixclientv3account3pidunbind
        """
        servers = [id_server] if id_server is not None else await self._bound_at(user_id, threepid)
        results = [await self._unbind(user_id, threepid, server) for server in servers]
        return bool(results) and all(results)

    async def _unbind(self, user_id: UserId, threepid: Threepid, id_server: str) -> bool:
        done = await self.identity.unbind(id_server, threepid, user_id)
        if done:
            async with self.database.write() as tx:
                await tables.delete_binding(tx, user_id, threepid, id_server)
        return done

    async def _bound_at(self, user_id: UserId, threepid: Threepid) -> Sequence[str]:
        async with self.database.read() as tx:
            return [server for bound, server in await tables.bindings(tx, user_id) if bound == threepid]

    async def delete(self, user_id: UserId, threepid: Threepid, id_server: str | None) -> bool:
        """Remove an address, and take it back from its identity server; whether the latter worked.

        Spec: client-server-api#post_matrixclientv3account3piddelete
        """
        if id_server is not None:
            self.identity.require_trusted(id_server)
        async with self.database.write() as tx:
            await tables.delete_threepid(tx, user_id, threepid)
            # A link that was sent before must not open the account any more.
            await tables.delete_validations_of(tx, threepid)
        return await self._quietly_unbind(user_id, threepid, id_server)

    async def replace(self, user_id: UserId, wanted: Collection[Threepid], also: Also) -> None:
        """Give a user these addresses and no others, on the word of an administrator. Raises BadRequest M_THREEPID_IN_USE.

        also: what else is written in the same transaction.
        """
        if len(wanted) > limits.threepids_per_user_max:
            raise BadRequest("M_INVALID_PARAM", "These are too many addresses.")
        now_ms = self.clock.now_ms()
        async with self.database.write() as tx:
            own = {owned.threepid for owned in await tables.threepids(tx, user_id)}
            for threepid in own - set(wanted):
                await tables.delete_threepid(tx, user_id, threepid)
                await tables.delete_validations_of(tx, threepid)
            for threepid in dict.fromkeys(wanted):
                if threepid not in own and not await tables.insert_threepid(tx, user_id, OwnThreepid(threepid, now_ms, now_ms)):
                    raise BadRequest("M_THREEPID_IN_USE", "This address belongs to another account.")
            await also(tx)
        for threepid in own - set(wanted):
            await self._quietly_unbind(user_id, threepid, None)

    async def unbind_all(self, user_id: UserId, id_server: str | None) -> bool:
        """Take everything back that a user published; True if nothing is left, or there was nothing.

        id_server: where to take it back, instead of where it was published.
        Spec: client-server-api#post_matrixclientv3accountdeactivate
        """
        async with self.database.read() as tx:
            bound = await tables.bindings(tx, user_id)
            own = {owned.threepid for owned in await tables.threepids(tx, user_id)}
        if id_server is None:
            results = [await self._quietly_unbind(user_id, threepid, server) for threepid, server in bound]
        else:
            wanted = sorted(own | {threepid for threepid, _ in bound}, key=lambda threepid: (threepid.medium, threepid.address))
            results = [await self._quietly_unbind(user_id, threepid, id_server) for threepid in wanted]
        return all(results)

    async def _quietly_unbind(self, user_id: UserId, threepid: Threepid, id_server: str | None) -> bool:
        try:
            return await self.unbind(user_id, threepid, id_server)
        except Refusal:
            return False
