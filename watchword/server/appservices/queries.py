"""Questions to application services: names that they alone know, networks that they lead to, whether they are there.

Spec: application-service-api#querying, application-service-api#third-party-networks, application-service-api#pinging
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden, PeerError, Refusal
from watchword.edge.fetch import Failure, Fetched, FetchFailed, Outgoing
from watchword.protocol.ids import RoomAlias, UserId
from watchword.server.appservices.authority import Authority
from watchword.server.appservices.ports import WayOut
from watchword.server.appservices.registration import Registration

_PROTOCOL_FIELDS = ("user_fields", "location_fields", "icon", "field_types", "instances")


class _Unavailable(Refusal):
    """502 or 504: the application service, not the caller, is at fault."""

    def __init__(self, status: int, errcode: str, text: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(errcode, text, extra=extra)
        self.status = status


@dataclass
class Queries:
    """Asks; what comes back is checked, bounded, and believed no further than its shape."""

    authority: Authority
    way_out: WayOut
    clock: Clock
    _protocols: dict[str, tuple[int, Mapping[str, Any] | None]] = field(default_factory=dict)

    # Names

    async def make_user(self, user_id: UserId) -> bool:
        """Ask whose namespace it is to make a user that we do not know; True if one says that he exists now."""
        asked = [each for each in self.authority.registrations if each.owns_user(user_id)]
        return await self._any_has(asked, f"/users/{quote(user_id, safe='')}")

    async def make_alias(self, alias: RoomAlias) -> bool:
        """Ask whose namespace it is to make a room for an alias that we do not know; True if one says that it did."""
        asked = [each for each in self.authority.registrations if each.wants_alias(alias)]
        return await self._any_has(asked, f"/rooms/{quote(alias, safe='')}")

    def may_name(self, alias: RoomAlias, appservice_id: str | None) -> bool:
        """Whether somebody may take an alias: not one that another service has to itself."""
        return self.authority.may_name(alias, appservice_id)

    async def _any_has(self, registrations: Sequence[Registration], path: str) -> bool:
        for registration in registrations:
            answer = await self._get(registration, path)
            if answer is not None and answer.status == 200:
                return True
        return False

    async def _get(self, registration: Registration, path: str, query: str = "") -> Fetched | None:
        """An answer, from the paths of before v1 if the service knows no other; None if there is none."""
        if registration.url is None:
            return None
        bearer = {"authorization": f"Bearer {registration.hs_token}"}
        token = urlencode({"access_token": registration.hs_token})
        old_path = path.replace("/thirdparty/", "/_matrix/app/unstable/thirdparty/")
        separator = "&" if query else ""
        for where in (f"/_matrix/app/v1{path}?{query}".rstrip("?"), f"{old_path}?{query}{separator}{token}"):
            try:
                answer = await self.way_out.fetch(_outgoing("GET", registration, where, bearer))
            except PeerError:
                return None
            if answer.status not in (404, 405) or _errcode(answer) not in (None, "M_UNRECOGNIZED"):
                return answer
        return answer

    # Networks

    async def protocol(self, name: str) -> Mapping[str, Any] | None:
        """What the services that lead to a network say of it, merged; None if none leads there."""
        known = self._protocols.get(name)
        now_ms = self.clock.monotonic_ms()
        if known is not None and now_ms - known[0] < limits.appservice_protocols_kept_ms:
            return known[1]
        asked = [each for each in self.authority.registrations if name in each.protocols]
        if not asked:
            return None
        answers = [await self._object(each, f"/thirdparty/protocol/{quote(name, safe='')}") for each in asked]
        merged = _merged([answer for answer in answers if answer is not None])
        self._protocols[name] = (now_ms, merged)
        return merged

    async def protocols(self) -> Mapping[str, Any]:
        """Every network that a service leads to."""
        names = sorted({name for each in self.authority.registrations for name in each.protocols})
        found = {name: await self.protocol(name) for name in names}
        return {name: protocol for name, protocol in found.items() if protocol is not None}

    async def entries(self, kind: str, protocol: str | None, query: Mapping[str, Sequence[str]]) -> list[Any] | None:
        """Locations or users that services find. kind: location or user. protocol None: by Matrix name, all are asked.

        None if no service leads to the network.
        """
        asked = [each for each in self.authority.registrations if protocol in each.protocols or protocol is None]
        if not asked and protocol is not None:
            return None
        pairs = [(name, value) for name, values in query.items() if name != "access_token" for value in values]
        encoded = urlencode(pairs[: limits.thirdparty_query_fields_max])
        path = f"/thirdparty/{kind}" + ("" if protocol is None else f"/{quote(protocol, safe='')}")
        found: list[Any] = []
        for registration in asked:
            answer = await self._get(registration, path, encoded)
            value = None if answer is None or answer.status != 200 else _json(answer)
            if isinstance(value, list):
                found.extend(entry for entry in value if _is_entry(kind, entry))
        return found[: limits.thirdparty_entries_max]

    async def _object(self, registration: Registration, path: str) -> Mapping[str, Any] | None:
        answer = await self._get(registration, path)
        value = None if answer is None or answer.status != 200 else _json(answer)
        return value if isinstance(value, dict) and _is_protocol(value) else None

    # Ping

    async def ping(self, appservice_id: str | None, named: str, transaction_id: str | None) -> int:
        """How long a service takes to answer, in milliseconds.

        appservice_id: who asks. Raises Forbidden, BadRequest M_URL_NOT_SET, and 502 or 504 with what went wrong.
        Spec: client-server-api#post_matrixclientv1appserviceappserviceidping
        """
        registration = self.authority.registration(named)
        if registration is None or appservice_id != named:
            raise Forbidden("Only the application service itself may ask for this.")
        if registration.url is None:
            raise BadRequest("M_URL_NOT_SET", "The registration of this application service has no URL.")
        body = orjson.dumps({} if transaction_id is None else {"transaction_id": transaction_id})
        headers = {"authorization": f"Bearer {registration.hs_token}", "content-type": "application/json"}
        begin = self.clock.monotonic_ms()
        try:
            answer = await self.way_out.fetch(_outgoing("POST", registration, "/_matrix/app/v1/ping", headers, body))
        except FetchFailed as error:
            if error.failure is Failure.TIMEOUT:
                raise _Unavailable(504, "M_CONNECTION_TIMEOUT", "The application service did not answer in time.") from error
            raise _Unavailable(502, "M_CONNECTION_FAILED", "The application service could not be reached.") from error
        if not 200 <= answer.status < 300:
            text = answer.body[:1_000].decode("utf-8", "replace")
            raise _Unavailable(
                502,
                "M_BAD_STATUS",
                "The application service refused the ping.",
                {"status": answer.status, "body": text},
            )
        return self.clock.monotonic_ms() - begin


def _outgoing(
    method: str, registration: Registration, where: str, headers: Mapping[str, str], body: bytes | None = None
) -> Outgoing:
    return Outgoing(
        method,
        f"{registration.url}{where}",
        headers,
        body,
        timeout_ms=limits.appservice_query_timeout_ms,
        bytes_max=limits.appservice_answer_bytes_max,
        peer=registration.appservice_id,
    )


def _json(answer: Fetched) -> Any:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None


def _errcode(answer: Fetched) -> str | None:
    value = _json(answer)
    errcode = value.get("errcode") if isinstance(value, dict) else None
    return errcode if isinstance(errcode, str) else None


def _merged(protocols: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """One description: the first one's, with the instances of all."""
    if not protocols:
        return None
    first = {name: protocols[0][name] for name in _PROTOCOL_FIELDS}
    return {**first, "instances": [instance for protocol in protocols for instance in protocol["instances"]]}


def _is_protocol(value: Mapping[str, Any]) -> bool:
    return (
        all(_are_texts(value.get(name)) for name in ("user_fields", "location_fields"))
        and isinstance(value.get("icon"), str)
        and isinstance(value.get("field_types"), dict)
        and all(isinstance(kind, dict) for kind in value["field_types"].values())
        and isinstance(value.get("instances"), list)
        and all(isinstance(instance, dict) for instance in value["instances"])
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_entry(kind: str, value: object) -> bool:
    name = "alias" if kind == "location" else "userid"
    return (
        isinstance(value, dict)
        and isinstance(value.get(name), str)
        and isinstance(value.get("protocol"), str)
        and isinstance(value.get("fields"), dict)
    )
