"""What clients are told of the authorisation server. Spec: client-server-api#server-metadata-discovery; RFC 8414"""

from watchword.server.oauth.commands import AUTHORIZATION_CODE, DEVICE_CODE, PREFIX, REFRESH_TOKEN, OAuthSettings
from watchword.server.oauth.decide import ACCOUNT_ACTIONS, OLD_ACCOUNT_ACTIONS, RESPONSE_MODES

AUTHORIZE = f"{PREFIX}/oauth/authorize"
TOKEN = f"{PREFIX}/oauth/token"
REVOKE = f"{PREFIX}/oauth/revoke"
REGISTER = f"{PREFIX}/oauth/register"
DEVICE = f"{PREFIX}/oauth/device"
ACCOUNT = f"{PREFIX}/account"


def issuer(settings: OAuthSettings) -> str:
    """The name of the authorisation server."""
    return f"{settings.base_url}/"


def server_metadata(settings: OAuthSettings, *, may_register: bool, old_names: bool = False) -> dict[str, object]:
    """The metadata. old_names: with the actions as they were called before they were specified."""
    actions = (*ACCOUNT_ACTIONS, *(name for name in OLD_ACCOUNT_ACTIONS if "." in name and old_names))
    return {
        "issuer": issuer(settings),
        "authorization_endpoint": settings.url(AUTHORIZE),
        "token_endpoint": settings.url(TOKEN),
        "revocation_endpoint": settings.url(REVOKE),
        "registration_endpoint": settings.url(REGISTER),
        "device_authorization_endpoint": settings.url(DEVICE),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "prompt_values_supported": ["create"] if may_register else [],
        "authorization_response_iss_parameter_supported": True,
        "account_management_uri": settings.url(ACCOUNT),
        "account_management_actions_supported": list(actions),
    }
