"""Who asks, when another server asks: proves the signature over its request. Fits `edge.authentication.ServerAuthenticator`.

Spec: server-server-api#request-authentication
"""

from collections.abc import Callable, Sequence

from watchword.base.clock import Clock
from watchword.base.errors import RemoteProtocolError, Unauthenticated
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import ALGORITHM
from watchword.server.federation.discovery_rules import parse_address
from watchword.server.federation.keys import KeyRing
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, parse_x_matrix

_HEADERS_MAX = 4


class RequestAuthenticator:
    """Checks `Authorization: X-Matrix`.

    heard_from: called with every server that proved itself, so that deliveries to it are tried again.
    """

    def __init__(
        self,
        settings: FederationSettings,
        keys: KeyRing,
        clock: Clock,
        heard_from: Callable[[ServerName], None],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._heard_from = heard_from

    async def server(self, request: Request) -> ServerRequester:
        """The server that signed. Raises Unauthenticated M_UNAUTHORIZED, Forbidden if it is on no list of ours."""
        headers = _x_matrix_headers(request)
        if not headers:
            raise Unauthenticated("M_UNAUTHORIZED", "This request must be signed by a server.")
        origin = headers[0].origin
        if any(header.origin != origin for header in headers) or parse_address(origin) is None:
            raise Unauthenticated("M_UNAUTHORIZED", "The origin is not a server name.")
        if origin == self._settings.server_name:
            raise Unauthenticated("M_UNAUTHORIZED", "A server does not ask itself.")
        if any(header.destination not in (None, self._settings.server_name) for header in headers):
            raise Unauthenticated("M_UNAUTHORIZED", "This request was signed for another server.")
        self._settings.require_incoming(origin)
        for header in headers:
            if await self._is_valid(request, header):
                self._heard_from(origin)
                return ServerRequester(origin)
        raise Unauthenticated("M_UNAUTHORIZED", "The signature of the request is not valid.")

    async def _is_valid(self, request: Request, header: XMatrix) -> bool:
        if not header.key_id.startswith(ALGORITHM + ":"):
            return False
        key = await self._keys.key(header.origin, header.key_id, self._clock.now_ms())
        if key is None:
            return False
        for content in _contents(request):
            signed = SignedRequest(request.method, request.target, header.origin, header.destination, content)
            if key.verify(signed.signed_bytes(), header.signature):
                return True
        return False


def _x_matrix_headers(request: Request) -> Sequence[XMatrix]:
    """A server with several keys sends one header for each."""
    parsed = (parse_x_matrix(value) for value in request.header_values("authorization")[:_HEADERS_MAX])
    return [header for header in parsed if header is not None]


def _contents(request: Request) -> Sequence[bytes | None]:
    """The forms in which the body may have been signed: as it came, which nearly always is canonical, or made so."""
    raw = request.raw_body
    if not raw:
        return (None,)
    try:
        canonical = canonical_json.encode(request.json, strict=False)
    except RemoteProtocolError:
        return (raw,)
    return (raw,) if canonical == raw else (canonical, raw)
