"""The rules of addresses outside of Matrix: canonical forms, what a client may ask for, where a browser may be sent."""

import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from watchword.base import limits
from watchword.server.accounts.commands import Refused
from watchword.server.accounts.threepids.commands import EMAIL, MSISDN, Credentials, Threepid
from watchword.server.accounts.threepids.phone_numbers import parse_msisdn

_OPAQUE = re.compile(r"[0-9a-zA-Z.=_-]{1,255}", re.ASCII)
# Dots and atoms only: quoted local parts exist in standards, hardly in mailboxes.
_LOCAL = re.compile(r"[^\s@\"(),:;<>\[\\\]\x00-\x1f\x7f.]+(\.[^\s@\"(),:;<>\[\\\]\x00-\x1f\x7f.]+)*")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_INTERNATIONAL = re.compile(r"\+?([0-9]{7,15})", re.ASCII)
_LOCAL_BYTES_MAX = 64
_ERRCODE = re.compile(r"[A-Z][A-Z0-9_.]{0,63}", re.ASCII)


# Canonical forms


def parse_email(text: str) -> str | None:
    """An e-mail address, case-folded whole, its domain in ASCII; None if it is none.

    The folded form is also where mail is sent, so that what was proved is what is kept. Spec: appendices#e-mail
    """
    if len(text) > limits.email_address_bytes_max:
        return None
    local, at, domain = text.casefold().rpartition("@")
    if not at or _LOCAL.fullmatch(local) is None or len(local.encode("utf-8", "replace")) > _LOCAL_BYTES_MAX:
        return None
    try:
        domain = domain.encode("idna").decode() if not domain.isascii() else domain
    except UnicodeError:
        return None
    address = f"{local}@{domain}"
    if _DOMAIN.fullmatch(domain) is None or len(address.encode("utf-8", "replace")) > limits.email_address_bytes_max:
        return None
    return address if address.isprintable() else None


def parse_threepid(medium: str, address: str) -> Threepid | None:
    """An address as a client names it that knows it already; None if it cannot be one."""
    if medium == EMAIL:
        email = parse_email(address)
        return None if email is None else Threepid(EMAIL, email)
    found = _INTERNATIONAL.fullmatch(address)
    return Threepid(MSISDN, found[1]) if medium == MSISDN and found is not None else None


def identified(body: Mapping[str, Any]) -> Threepid | Refused | None:
    """The address by which a login names its user; None if it names him otherwise, or by no address that could be one.

    Spec: client-server-api#identifier-types
    """
    identifier = body.get("identifier")
    if identifier is None and "user" not in body and ("medium" in body or "address" in body):
        # COMPAT(clients of 2018, until 2028): the keys at the top.
        return _by_address(body)
    if not isinstance(identifier, dict):
        return None
    match identifier.get("type"):
        case "m.id.thirdparty":
            return _by_address(identifier)
        case "m.id.phone":
            # `number` is what the key was called before it was specified.
            number = identifier.get("phone", identifier.get("number"))
            country = identifier.get("country")
            if not isinstance(number, str) or not isinstance(country, str):
                return Refused("M_MISSING_PARAM", "country and phone are needed.")
            msisdn = parse_msisdn(country, number)
            return _NOBODY if msisdn is None else Threepid(MSISDN, msisdn)
        case _:
            return None


def _by_address(named: Mapping[str, Any]) -> Threepid | Refused:
    medium, address = named.get("medium"), named.get("address")
    if not isinstance(medium, str) or not isinstance(address, str):
        return Refused("M_MISSING_PARAM", "medium and address are needed.")
    return parse_threepid(medium, address) or _NOBODY


_NOBODY = Threepid("", "")


# What clients ask


def is_opaque(text: str) -> bool:
    """Whether a text can be a client secret or the name of a session."""
    return _OPAQUE.fullmatch(text) is not None


def credentials_in(auth: Mapping[str, Any]) -> Credentials | Refused:
    """The proof that a stage of interactive authentication shows.

    Spec: client-server-api#email-based-authentication-identity-homeserver
    """
    found = auth.get("threepid_creds", auth.get("threepidCreds"))
    if not isinstance(found, dict):
        return Refused("M_MISSING_PARAM", "threepid_creds is missing.")
    sid, secret = found.get("sid"), found.get("client_secret")
    if not isinstance(sid, str) or not isinstance(secret, str):
        return Refused("M_MISSING_PARAM", "sid and client_secret are needed.")
    if not is_opaque(sid) or not is_opaque(secret):
        return Refused("M_INVALID_PARAM", "sid or client_secret is not valid.")
    return Credentials(sid, secret)


def address_refusal(patterns: Sequence[str], address: str) -> Refused | None:
    """Why the operator does not want this address. patterns: with `*` and `?`; any one must fit."""
    if any(fnmatchcase(address, pattern.casefold()) for pattern in patterns):
        return None
    return Refused("M_THREEPID_DENIED", "This server does not accept this address.", status=403)


def next_link_refusal(link: str | None) -> Refused | None:
    """Why a browser cannot be sent there: only the web, in bounds."""
    if link is None or _host_of(link) is not None:
        return None
    return Refused("M_INVALID_PARAM", "next_link must be a web address.")


def goes_straight_on(link: str, hosts: Collection[str]) -> bool:
    """Whether a browser is sent there without asking. What strangers wish for is shown as a link instead."""
    return _host_of(link) in hosts


def _host_of(link: str) -> str | None:
    if len(link) > limits.threepid_next_link_characters_max or not link.isprintable() or " " in link or "\\" in link:
        return None
    try:
        parts = urlsplit(link)
        return parts.hostname if parts.scheme in ("https", "http") and parts.username is None else None
    except ValueError:
        return None


# What identity servers answer


def passed_on(status: int, errcode: str | None) -> Refused:
    """An identity server's refusal, as our client gets it: its code, our words.

    A code that would log the client out of this server is not passed on.
    Spec: client-server-api#post_matrixclientv3account3pidbind
    """
    is_code = errcode is not None and _ERRCODE.fullmatch(errcode) is not None
    code = errcode if is_code and errcode is not None and errcode not in _OURS else "M_UNKNOWN"
    return Refused(code, "The identity server refused.", status=status if status in (400, 403, 404) else 400)


_OURS = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_LOCKED", "M_LIMIT_EXCEEDED"})
