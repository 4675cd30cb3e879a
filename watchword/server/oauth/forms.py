"""Forms: what a browser, or an OAuth client, sends as `application/x-www-form-urlencoded`."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.request import Request
from watchword.server.oauth.commands import OAuthRefused


class Form:
    """The fields of a form."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def get(self, name: str) -> str:
        """A field, "" if it is absent."""
        values = self._fields.get(name)
        return values[-1] if values else ""

    def optional(self, name: str) -> str | None:
        """A parameter of OAuth that may be absent. Raises OAuthRefusal invalid_request if it stands there twice."""
        values = self._fields.get(name, ())
        if len(values) > 1:
            raise OAuthRefused("invalid_request", f"{name} is given twice.").refusal()
        # Spec: none; RFC 6749 section 3.2: parameters sent without a value are treated as if they were omitted.
        return values[0] if values and values[0] else None

    def required(self, name: str) -> str:
        """A parameter of OAuth. Raises OAuthRefusal invalid_request."""
        value = self.optional(name)
        if value is None:
            raise OAuthRefused("invalid_request", f"{name} is missing.").refusal()
        return value


async def read_form(request: Request) -> Form:
    """The body of a request. Raises BadRequest, TooLarge."""
    body = b"".join([piece async for piece in request.stream()])
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=limits.oauth_form_fields_max, errors="strict")
    except ValueError as error:
        raise BadRequest("M_BAD_JSON", "The form is not valid.") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return Form(fields)


async def read_parameters(request: Request) -> Form:
    """The body of a request to an endpoint of OAuth. Raises OAuthRefusal invalid_request, TooLarge."""
    try:
        return await read_form(request)
    except BadRequest as error:
        raise OAuthRefused("invalid_request", "The body is not a form.").refusal() from error
