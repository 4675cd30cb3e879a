"""The few plain pages that people see in a browser: no script but where a client waits for one, a strict CSP, no cookies.

Deliberately absent: what the pages say (their doors know), and the pages of signing in by OAuth.
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl

from watchword.base.errors import BadRequest
from watchword.edge.replies import Reply
from watchword.edge.request import Request

_STYLE = (
    "body{font-family:sans-serif;line-height:1.5;max-width:32em;margin:3em auto;padding:0 1em;color:#222;background:#fff}"
    "input,button{font:inherit;padding:.4em .6em}[role=alert]{color:#a00}"
)
_FORM_FIELDS_MAX = 10


def _fingerprint(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(
    title: str, body: str, status: int = 200, *, script: str = "", sources: str = "", form_action: str = "'self'"
) -> Reply:
    """A whole page. title: text; body: HTML, escaped already.

    script: run at the end. sources: further directives of the policy, such as `frame-src https://…`, that the page
    cannot do without. form_action: where forms may lead.
    """
    scripts = f"script-src {_fingerprint(script)}; " if script and "script-src" not in sources else ""
    policy = (
        f"default-src 'none'; {scripts}style-src {_fingerprint(_STYLE)}; {sources}form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main>"
        f"{f'<script>{script}</script>' if script else ''}</body></html>"
    )
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Reply(status, html.encode(), headers)


def alert(text: str) -> str:
    """What went wrong, as HTML; nothing for nothing."""
    return f'<p role="alert">{escape(text)}</p>' if text else ""


def hidden(fields: Mapping[str, str]) -> str:
    """Fields that a form carries on."""
    return "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items())


def redirect(url: str) -> Reply:
    """See other."""
    return Reply(303, b"", {"location": url, "referrer-policy": "no-referrer", "cache-control": "no-store"})


async def form_of(request: Request, bytes_max: int) -> Mapping[str, str]:
    """The fields of a form that was sent. Raises BadRequest."""
    return form_in(await body_of(request, bytes_max))


async def body_of(request: Request, bytes_max: int) -> bytes:
    """The whole body. Raises BadRequest if it is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > bytes_max:
            raise BadRequest("M_BAD_JSON", "The form is too large.")
    return body


def form_in(body: bytes) -> Mapping[str, str]:
    """The fields of a form. Raises BadRequest."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX, errors="strict"))
    except ValueError as error:
        raise BadRequest("M_BAD_JSON", "The form is not valid.") from error
