"""Every door of OAuth."""

from watchword.server.oauth import endpoints_account, endpoints_protocol, endpoints_sign_in
from watchword.server.oauth.upstream import endpoints as endpoints_upstream

ENDPOINTS = (
    *endpoints_protocol.ENDPOINTS,
    *endpoints_sign_in.ENDPOINTS,
    *endpoints_account.ENDPOINTS,
    *endpoints_upstream.ENDPOINTS,
)
