"""Every door of OAuth."""

from watchword.server.oauth import endpoints_account, endpoints_protocol, endpoints_sign_in

ENDPOINTS = (
    *endpoints_protocol.ENDPOINTS,
    *endpoints_sign_in.ENDPOINTS,
    *endpoints_account.ENDPOINTS,
)
