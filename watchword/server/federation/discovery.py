"""Finds where a server listens. Asks well-known files and DNS; `discovery_rules` decides what the answers mean.

Deliberately absent: addresses (A, AAAA) and whether they may be connected to; that is the egress client's work.
Spec: server-server-api#resolving-server-names
"""

import logging
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.server.federation import discovery_rules as rules
from watchword.server.federation.discovery_rules import ServerAddress, Target
from watchword.server.federation.ports import Egress
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.single_flight import SingleFlight

logger = logging.getLogger(__name__)

_TARGETS_KEPT_MS = 300_000
_WELL_KNOWN_TIMEOUT_MS = 10_000
_SRV_SERVICES = ("_matrix-fed._tcp", "_matrix._tcp")


@dataclass(frozen=True, slots=True)
class _WellKnown:
    """What a host's well-known file said. delegate: None if it is absent or not valid. fetched_ms: when it was last good."""

    delegate: ServerAddress | None
    expires_ms: int
    fetched_ms: int
    failures: int = 0


class ServerDiscovery:
    """Resolves server names, with bounded caches; many askers for one name cause one asking."""

    def __init__(self, egress: Egress, settings: FederationSettings, clock: Clock, entropy: Entropy) -> None:
        self._egress = egress
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._well_known: dict[str, _WellKnown] = {}
        self._targets: dict[ServerName, tuple[int, tuple[Target, ...]]] = {}
        self._asking: SingleFlight[ServerName, tuple[Target, ...]] = SingleFlight()

    async def resolve(self, server_name: ServerName) -> tuple[Target, ...]:
        """Where to connect, in order of preference; at least one. Raises PeerError if the name is none."""
        known = self._targets.get(server_name)
        if known is not None and known[0] > self._clock.monotonic_ms():
            return known[1]
        return await self._asking.run(server_name, lambda: self._resolve(server_name))

    def forget(self, server_name: ServerName) -> None:
        """The targets did not answer: ask DNS again next time. A well-known file keeps its own lifetime."""
        self._targets.pop(server_name, None)

    async def _resolve(self, server_name: ServerName) -> tuple[Target, ...]:
        address = rules.parse_address(server_name)
        if address is None:
            raise PeerError(server_name, "not a server name")
        override = self._settings.overrides.get(server_name)
        if override is not None:
            return self._overridden(server_name, address, override)
        targets = await self._discover(address)
        self._remember(self._targets, server_name, (self._clock.monotonic_ms() + _TARGETS_KEPT_MS, targets))
        return targets

    def _overridden(self, server_name: ServerName, address: ServerAddress, override: str) -> tuple[Target, ...]:
        place = rules.parse_address(override)
        if place is None:
            raise PeerError(server_name, "the configured override is not host:port")
        own = rules.default_target(address)
        port = place.port or rules.PORT_DEFAULT
        return (Target(place.host, port, own.host_header, own.certificate_name),)

    async def _discover(self, address: ServerAddress) -> tuple[Target, ...]:
        direct = rules.direct_target(address)
        if direct is not None:
            return (direct,)
        delegate = await self._delegate(address.host)
        if delegate is not None:
            direct = rules.direct_target(delegate)
            if direct is not None:
                return (direct,)
            address = delegate
        return await self._by_srv(address) or (rules.default_target(address),)

    async def _by_srv(self, address: ServerAddress) -> tuple[Target, ...]:
        for service in _SRV_SERVICES:
            try:
                records = await self._egress.srv(f"{service}.{address.host}")
            except OSError:
                logger.info("DNS did not answer for a server", extra={"host": address.host})
                return ()
            targets = rules.srv_targets(address, records, self._entropy.fraction)
            if targets:
                return targets
        return ()

    async def _delegate(self, host: str) -> ServerAddress | None:
        now = self._clock.monotonic_ms()
        known = self._well_known.get(host.lower())
        if known is None or known.expires_ms <= now:
            known = await self._ask_well_known(host, known, now)
            self._remember(self._well_known, host.lower(), known)
        return known.delegate

    async def _ask_well_known(self, host: str, known: _WellKnown | None, now: int) -> _WellKnown:
        try:
            answer = await self._egress.get(
                f"https://{host}/.well-known/matrix/server",
                bytes_max=limits.well_known_bytes_max,
                timeout_ms=_WELL_KNOWN_TIMEOUT_MS,
            )
            delegate = rules.delegated_address(answer.body) if answer.status == 200 else None
            lost = answer.status >= 500
        except OSError:
            delegate, lost = None, True
            answer = None
        if answer is not None and delegate is not None:
            lifetime = rules.well_known_lifetime_ms(answer.headers, self._clock.now_ms())
            return _WellKnown(delegate, now + lifetime, now)
        failures = (known.failures if known is not None else 0) + 1
        expires = now + rules.error_lifetime_ms(failures)
        # An outage of the web server does not undo a delegation that is younger than the longest lifetime.
        if lost and known is not None and known.delegate is not None and known.fetched_ms + rules.WELL_KNOWN_MOST_MS > now:
            return _WellKnown(known.delegate, expires, known.fetched_ms, failures)
        return _WellKnown(None, expires, 0, failures)

    @staticmethod
    def _remember(cache: dict, key: str, value: object) -> None:  # type: ignore[type-arg]
        cache.pop(key, None)
        cache[key] = value
        if len(cache) > limits.servers_resolved_max:
            del cache[next(iter(cache))]
