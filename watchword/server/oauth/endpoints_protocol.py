"""The doors for OAuth clients: metadata, registration, tokens, revocation, and devices that begin to wait."""

from watchword.base import limits
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.oauth import metadata
from watchword.server.oauth.assembly import OAuth
from watchword.server.oauth.forms import read_parameters

_CACHED = {"cache-control": "public, max-age=600"}
_SECRET = {"cache-control": "no-store", "pragma": "no-cache"}


async def auth_metadata(request: Request, _: None, oauth: OAuth) -> Reply:
    return Reply.json(metadata.server_metadata(oauth.settings, may_register=oauth.sign_in.takes_newcomers), headers=_CACHED)


async def old_auth_metadata(request: Request, _: None, oauth: OAuth) -> Reply:
    """COMPAT(clients before v1.15, until 2028): the same under the names of the proposals."""
    found = metadata.server_metadata(oauth.settings, may_register=oauth.sign_in.takes_newcomers, old_names=True)
    return Reply.json(found, headers=_CACHED)


async def auth_issuer(request: Request, _: None, oauth: OAuth) -> Reply:
    """COMPAT(clients before v1.15, until 2028): they look for the metadata at the issuer."""
    return Reply.json({"issuer": metadata.issuer(oauth.settings)}, headers=_CACHED)


async def register_client(request: Request, _: None, oauth: OAuth) -> Reply:
    client = await oauth.clients.register(request.json)
    known = {"client_id": client.client_id, "client_id_issued_at": client.created_ts // 1000}
    return Reply.json({**client.metadata.json(), **known}, 201, _SECRET)


async def token(request: Request, _: None, oauth: OAuth) -> Reply:
    granted = await oauth.grants.answer(await read_parameters(request))
    return Reply.json(granted.body(), headers=_SECRET)


async def revoke(request: Request, _: None, oauth: OAuth) -> Reply:
    await oauth.grants.revoke(await read_parameters(request))
    return Reply.json({}, headers=_SECRET)


async def begin_device(request: Request, _: None, oauth: OAuth) -> Reply:
    return Reply.json(await oauth.device_grants.begin(await read_parameters(request)), headers=_SECRET)


_METADATA = "client-server-api#get_matrixclientv1auth_metadata"
_OLD = "/_matrix/client/unstable/org.matrix.msc2965"

ENDPOINTS = (
    Endpoint("GET", "/_matrix/client/v1/auth_metadata", auth_metadata, _METADATA, auth=Auth.NONE),
    Endpoint("GET", f"{_OLD}/auth_metadata", old_auth_metadata, _METADATA, auth=Auth.NONE),
    Endpoint("GET", f"{_OLD}/auth_issuer", auth_issuer, _METADATA, auth=Auth.NONE),
    Endpoint("GET", "/.well-known/openid-configuration", old_auth_metadata, _METADATA, auth=Auth.NONE),
    Endpoint("GET", "/.well-known/oauth-authorization-server", auth_metadata, _METADATA, auth=Auth.NONE),
    Endpoint(
        "POST",
        metadata.REGISTER,
        register_client,
        "client-server-api#client-registration",
        auth=Auth.NONE,
        rate=Rate.LOGIN,
        body=Body.JSON,
        body_bytes_max=limits.oauth_metadata_bytes_max,
    ),
    *(
        Endpoint(
            "POST",
            path,
            handler,
            f"client-server-api#{anchor}",
            auth=Auth.NONE,
            rate=rate,
            body=Body.STREAM,
            body_bytes_max=limits.oauth_form_bytes_max,
        )
        for path, handler, rate, anchor in (
            (metadata.TOKEN, token, Rate.WRITE, "authorisation-code-grant"),
            (metadata.REVOKE, revoke, Rate.WRITE, "token-revocation"),
            (metadata.DEVICE, begin_device, Rate.LOGIN, "device-authorisation-grant"),
        )
    ),
)
