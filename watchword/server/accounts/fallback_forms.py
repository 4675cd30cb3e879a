"""What the pages of interactive authentication show, as HTML; one form for each stage.

Deliberately absent: what becomes of a form that was sent (`endpoints_fallback`).
"""

from collections.abc import Mapping, Sequence
from html import escape

from watchword.server.accounts.commands import CaptchaSettings, Policy
from watchword.server.accounts.web_pages import alert, hidden

_BUTTON = "<button>Continue</button>"


def form(session_id: str, inside: str, complaint: str = "", kept: Mapping[str, str] | None = None) -> str:
    """A form around some fields. kept: what the next round needs again."""
    fields = hidden({"session": session_id, **(kept or {})})
    return f'{alert(complaint)}<form method="post">{fields}{inside}</form>'


def simple() -> str:
    """Nothing but a button."""
    return _BUTTON


def registration_token() -> str:
    """A field for the token."""
    return _field("Registration token", 'name="token" maxlength="64" required autocomplete="off"') + _BUTTON


def password(*, asks_name: bool) -> str:
    """The password; and who it is, where that is not known."""
    name = _field("User name", 'name="user" maxlength="255" required autocomplete="username"') if asks_name else ""
    secret = _field("Password", 'type="password" name="password" maxlength="1024" required autocomplete="current-password"')
    return name + secret + _BUTTON


def terms(policies: Sequence[Policy]) -> str:
    """The policies to agree to, each in every language that it comes in."""
    links = [
        f'<li><a lang="{escape(language)}" hreflang="{escape(language)}" href="{escape(text.url)}" target="_blank" '
        f'rel="noopener noreferrer">{escape(text.name)}</a></li>'
        for policy in policies
        for language, text in policy.texts.items()
    ]
    return f"<p>Please read and accept these policies:</p><ul>{''.join(links)}</ul><button>I agree</button>"


def captcha(settings: CaptchaSettings, nonce: str) -> str:
    """The riddle, drawn by the service's own script."""
    return (
        f'<script nonce="{escape(nonce)}" src="{escape(settings.script_url)}" async defer></script>'
        f'<div class="{escape(settings.css_class)}" data-sitekey="{escape(settings.site_key)}"></div><p>{_BUTTON}</p>'
    )


def email() -> str:
    """A field for the address."""
    return _field("E-mail address", 'type="email" name="email" maxlength="254" required autocomplete="email"') + _BUTTON


def email_sent() -> str:
    """What to do after the mail was sent."""
    return f"<p>A mail is on its way. Open the link in it, come back, and go on.</p>{_BUTTON}"


def phone() -> str:
    """Fields for the number."""
    number = _field("Telephone number, with + and the country's code", 'type="tel" name="phone" maxlength="40" required')
    return number + _BUTTON


def code() -> str:
    """A field for the code that was sent."""
    attributes = 'name="code" maxlength="12" inputmode="numeric" required autocomplete="one-time-code"'
    return f"<p>A message is on its way.</p>{_field('Code', attributes)}{_BUTTON}"


def _field(label: str, attributes: str) -> str:
    return f"<p><label>{escape(label)}<br><input {attributes}></label></p>"
