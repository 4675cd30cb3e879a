"""Registration files: read once at start, checked whole, with a sentence for whatever is wrong.

Regular expressions are the operator's own; they match from the beginning of a name, as bridges' files expect.

Spec: application-service-api#registration
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchword.base import limits
from watchword.base.errors import ConfigError, ProtocolError
from watchword.protocol.ids import ServerName, UserId, parse_user_id

_KINDS = ("users", "aliases", "rooms")


@dataclass(frozen=True, slots=True)
class Namespace:
    """Names that a service is interested in; exclusive ones nobody else may take."""

    pattern: re.Pattern[str]
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Registration:
    """One application service. url None: nothing is sent to it. Tokens are secrets: they are never shown or logged.

    ephemeral: typing, receipts, presence and to-device messages too. old_ephemeral, old_encryption: under the names of the
    proposals besides, because the file asks so. encryption: device lists and counts of keys.
    """

    appservice_id: str
    url: str | None
    as_token: str
    hs_token: str
    sender: UserId
    users: Sequence[Namespace]
    aliases: Sequence[Namespace]
    rooms: Sequence[Namespace]
    rate_limited: bool = True
    protocols: Sequence[str] = ()
    ephemeral: bool = False
    old_ephemeral: bool = False
    encryption: bool = False

    def __repr__(self) -> str:
        return f"Registration({self.appservice_id!r})"

    def owns_user(self, user_id: str, *, exclusively: bool = False) -> bool:
        """Whether a local user is its sender or in its namespace. The caller knows that the user is local."""
        return user_id == self.sender or _matches(self.users, user_id, exclusively)

    def wants_alias(self, alias: str, *, exclusively: bool = False) -> bool:
        """Whether an alias is in its namespace."""
        return _matches(self.aliases, alias, exclusively)

    def wants_room(self, room_id: str) -> bool:
        """Whether a room is in its namespace."""
        return _matches(self.rooms, room_id, False)

    @property
    def token_digest(self) -> bytes:
        """By which its token is found: looking up a digest says nothing about the token."""
        return hashlib.sha256(self.as_token.encode()).digest()


def _matches(namespaces: Sequence[Namespace], name: str, exclusively: bool) -> bool:
    return any(namespace.pattern.match(name) is not None for namespace in namespaces if namespace.exclusive or not exclusively)


def read_registrations(files: Sequence[str], server_name: ServerName) -> Sequence[Registration]:
    """Read and check registration files. Raises ConfigError; IDs and tokens must differ from file to file."""
    found: list[Registration] = []
    for file in files:
        registration = registration_in(file, _yaml(file), server_name)
        for other in found:
            if other.appservice_id == registration.appservice_id:
                raise ConfigError(file, "id", registration.appservice_id, "an ID that no other application service has")
            if other.as_token == registration.as_token:
                raise ConfigError(file, "as_token", "(not shown)", "a token that no other application service has")
        found.append(registration)
    return found


def _yaml(file: str) -> object:
    # Not at the top: only servers with application services need a reader of YAML in memory.
    import yaml

    try:
        return yaml.safe_load(Path(file).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(file, "(file)", error.strerror or "an error", "a registration file that can be read") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(file, "(file)", "text that is not YAML", "a registration file, as the bridge generates it") from error


def registration_in(file: str, value: object, server_name: ServerName) -> Registration:
    """Check what a file holds. Raises ConfigError, which never shows a token."""
    if not isinstance(value, dict):
        raise ConfigError(file, "(file)", type(value).__name__, "a mapping")
    wanted = _Fields(file, value)
    as_token, hs_token = wanted.text("as_token", secret=True), wanted.text("hs_token", secret=True)
    namespaces = value.get("namespaces")
    if not isinstance(namespaces, dict):
        raise ConfigError(file, "namespaces", namespaces, "a mapping with users, aliases and rooms")
    localpart = wanted.text("sender_localpart")
    try:
        sender = parse_user_id(f"@{localpart}:{server_name}")
    except ProtocolError as error:
        raise ConfigError(file, "sender_localpart", localpart, "the local part of a user ID") from error
    users, aliases, rooms = (_namespaces(file, kind, namespaces.get(kind)) for kind in _KINDS)
    old_ephemeral = wanted.flag("de.sorunome.msc2409.push_ephemeral") or wanted.flag("push_ephemeral")
    return Registration(
        appservice_id=wanted.text("id"),
        url=_url(file, value),
        as_token=as_token,
        hs_token=hs_token,
        sender=sender,
        users=users,
        aliases=aliases,
        rooms=rooms,
        rate_limited=wanted.flag("rate_limited", default=True),
        protocols=_texts(file, "protocols", value.get("protocols")),
        ephemeral=wanted.flag("receive_ephemeral") or old_ephemeral,
        old_ephemeral=old_ephemeral,
        encryption=wanted.flag("org.matrix.msc3202"),
    )


@dataclass(frozen=True)
class _Fields:
    file: str
    value: Mapping[str, Any]

    def text(self, name: str, *, secret: bool = False) -> str:
        found = self.value.get(name)
        if not isinstance(found, str) or not found or len(found) > limits.token_bytes_max:
            raise ConfigError(self.file, name, "(not shown)" if secret else found, "a text that is not empty")
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        found = self.value.get(name, default)
        if not isinstance(found, bool):
            raise ConfigError(self.file, name, found, "true or false")
        return found


def _url(file: str, value: Mapping[str, Any]) -> str | None:
    url = value.get("url")
    if url is None or url == "":
        return None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ConfigError(file, "url", url, "an address that begins with http:// or https://, or null")
    return url.rstrip("/")


def _texts(file: str, name: str, value: object) -> Sequence[str]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ConfigError(file, name, value, "a list of texts")
    return tuple(value)


def _namespaces(file: str, kind: str, value: object) -> Sequence[Namespace]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigError(file, f"namespaces.{kind}", value, "a list")
    found = []
    for entry in value:
        regex = entry.get("regex") if isinstance(entry, dict) else None
        exclusive = entry.get("exclusive", False) if isinstance(entry, dict) else None
        if not isinstance(regex, str) or not isinstance(exclusive, bool):
            raise ConfigError(file, f"namespaces.{kind}", entry, "regex (a text) and exclusive (true or false)")
        try:
            found.append(Namespace(re.compile(regex), exclusive))
        except re.error as error:
            raise ConfigError(file, f"namespaces.{kind}", regex, f"a regular expression ({error})") from error
    return tuple(found)
