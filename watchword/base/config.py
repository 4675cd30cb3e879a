"""Every setting an operator may choose, with its type, default, bounds and meaning. `docs/configuration.md` is made of it.

One TOML file, then the environment (`WATCHWORD_FEDERATION__ENABLED=false`), then flags (`federation.enabled`): the last
one wins. Everything is checked at the start and every mistake is shown at once. Read once, changed by nobody, handed
over by `app.py` in the parts that a feature needs. Deliberately absent: settings that an administrator changes while
the server runs (those are in the database), and anything that is a constant of the protocol (`limits.py`).

Durations (`…_ms`) may be written as "7d", "12h", "30m", "10s" or a number of milliseconds, sizes (`…_bytes…`) as "50MiB",
"100MB" or a number of bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct

from watchword.base.config_reading import ConfigErrors, read
from watchword.base.config_sections import (
    PATH,
    URL,
    Admin,
    Appservices,
    Captcha,
    Contact,
    Database,
    DelayedEvents,
    Egress,
    Federation,
    Limits,
    Listener,
    Logs,
    Mail,
    Media,
    Metrics,
    Moderation,
    Notices,
    OAuth,
    People,
    PolicyDocument,
    Presence,
    Provider,
    Push,
    Rate,
    RateLimits,
    Registration,
    Rendezvous,
    Retention,
    Rooms,
    Rtc,
    Sync,
    Threepids,
    Turn,
    UrlPreviews,
    WellKnown,
    about,
    is_server_name,
)
from watchword.base.errors import ConfigError

__all__ = [
    "Admin",
    "Appservices",
    "Captcha",
    "Config",
    "Contact",
    "Database",
    "DelayedEvents",
    "Egress",
    "Federation",
    "Limits",
    "Listener",
    "Logs",
    "Mail",
    "Media",
    "Metrics",
    "Moderation",
    "Notices",
    "OAuth",
    "People",
    "PolicyDocument",
    "Presence",
    "Provider",
    "Push",
    "Rate",
    "RateLimits",
    "Registration",
    "Rendezvous",
    "Retention",
    "Rooms",
    "Rtc",
    "Sync",
    "Threepids",
    "Turn",
    "UrlPreviews",
    "WellKnown",
    "secret_of",
]


class Config(Struct, frozen=True, kw_only=True):
    """The settings of one server."""

    server_name: Annotated[
        str,
        about(
            "The name in every user ID and room alias of this server. It can never be changed.",
            check=is_server_name,
            expected='a server name such as "example.org"',
        ),
    ]
    public_base_url: Annotated[str | None, about("Where clients reach this server; unset is https://server_name.", **URL)] = (
        None
    )
    data_dir: Annotated[str, about("The folder that holds the database, the keys and the media.", **PATH)] = "data"
    signing_key_file: Annotated[
        str | None, about("The key that signs for this server; unset is `signing.key` in the data folder.", **PATH)
    ] = None
    listeners: tuple[Listener, ...] = (Listener(),)
    registration: Registration = Registration()
    mail: Mail = Mail()
    push: Push = Push()
    threepids: Threepids = Threepids()
    captcha: Captcha = Captcha()
    policies: tuple[PolicyDocument, ...] = ()
    turn: Turn = Turn()
    rtc: Rtc = Rtc()
    delayed_events: DelayedEvents = DelayedEvents()
    oauth: OAuth = OAuth()
    rate_limits: RateLimits = RateLimits()
    federation: Federation = msgspec.field(default_factory=Federation)
    egress: Egress = Egress()
    appservices: Appservices = Appservices()
    media: Media = Media()
    url_previews: UrlPreviews = UrlPreviews()
    rooms: Rooms = Rooms()
    admin: Admin = Admin()
    moderation: Moderation = Moderation()
    retention: Retention = Retention()
    notices: Notices = Notices()
    database: Database = Database()
    sync: Sync = Sync()
    presence: Presence = Presence()
    people: People = People()
    rendezvous: Rendezvous = Rendezvous()
    limits: Limits = Limits()
    logs: Logs = Logs()
    metrics: Metrics = Metrics()
    well_known: WellKnown = WellKnown()
    contact: Contact = Contact()

    @staticmethod
    def load(
        path: Path | None, environment: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
    ) -> "Config":
        """Read and check the settings. overrides: dotted key → text or value. Raises ConfigErrors, a ConfigError."""
        config = read(Config, path, environment or {}, overrides or {})
        if errors := [ConfigError(str(path or "(no file)"), *wrong) for wrong in _contradictions(config)]:
            raise ConfigErrors(errors)
        return config

    @property
    def base_url(self) -> str:
        """Where clients reach this server, without a slash at the end."""
        return (self.public_base_url or f"https://{self.server_name}").rstrip("/")

    @property
    def signing_key_path(self) -> Path:
        """Where the signing key is."""
        return Path(self.signing_key_file or Path(self.data_dir, "signing.key"))

    @property
    def database_path(self) -> Path:
        """Where the database is."""
        return Path(self.database.path or Path(self.data_dir, "watchword.db"))

    @property
    def media_path(self) -> Path:
        """Where media are."""
        return Path(self.media.folder or Path(self.data_dir, "media"))

    def shared_secret(self) -> str | None:
        """The secret of administrative registration, from the setting or its file; None switches that off."""
        if self.registration.shared_secret_file is None:
            return self.registration.shared_secret
        return Path(self.registration.shared_secret_file).read_text("utf-8").strip() or None


def secret_of(value: str | None, file: str | None) -> str | None:
    """A secret from its setting or its file; None if it is in neither."""
    return value if file is None else Path(file).read_text("utf-8").strip() or None


def _contradictions(config: Config) -> list[tuple[str, object, str]]:
    wrong: list[tuple[str, object, str]] = []
    if not config.listeners:
        wrong.append(("listeners", [], "at least one listener"))
    for index, listener in enumerate(config.listeners):
        key = f"listeners[{index}]"
        if (listener.certificate_file is None) != (listener.key_file is None):
            wrong.append((f"{key}.key_file", listener.key_file, "both certificate_file and key_file, or neither"))
        wrong.extend(_missing(f"{key}.certificate_file", listener.certificate_file))
        wrong.extend(_missing(f"{key}.key_file", listener.key_file))
    registration = config.registration
    if registration.shared_secret is not None and registration.shared_secret_file is not None:
        wrong.append(("registration.shared_secret", "(hidden)", "shared_secret or shared_secret_file, not both"))
    wrong.extend(_missing("registration.shared_secret_file", registration.shared_secret_file))
    wrong.extend(_wrong_of_outside_services(config))
    for name in config.federation.extra_ca_files:
        wrong.extend(_missing("federation.extra_ca_files", name))
    kept = config.retention
    if kept.lifetime_min_ms is not None and kept.lifetime_max_ms is not None and kept.lifetime_min_ms > kept.lifetime_max_ms:
        wrong.append(("retention.lifetime_min_ms", kept.lifetime_min_ms, "no more than lifetime_max_ms"))
    return wrong + _wrong_providers(config.oauth)


def _wrong_providers(oauth: OAuth) -> list[tuple[str, object, str]]:
    wrong: list[tuple[str, object, str]] = []
    if oauth.providers and not oauth.enabled:
        wrong.append(("oauth.enabled", False, "true, as there are providers"))
    for index, provider in enumerate(oauth.providers):
        key = f"oauth.providers[{index}]"
        if any(provider.id == other.id for other in oauth.providers[:index]):
            wrong.append((f"{key}.id", provider.id, "a name that no other provider has"))
        if provider.client_secret is not None and provider.client_secret_file is not None:
            wrong.append((f"{key}.client_secret", "(hidden)", "client_secret or client_secret_file, not both"))
        wrong.extend(_missing(f"{key}.client_secret_file", provider.client_secret_file))
    return wrong


def _wrong_of_outside_services(config: Config) -> list[tuple[str, object, str]]:
    mail, threepids, captcha, turn = config.mail, config.threepids, config.captcha, config.turn
    wrong: list[tuple[str, object, str]] = []
    secrets = (
        ("mail.password", mail.password, mail.password_file),
        ("threepids.sms_token", threepids.sms_token, threepids.sms_token_file),
        ("threepids.code_token", threepids.code_token, threepids.code_token_file),
        ("captcha.secret", captcha.secret, captcha.secret_file),
        ("turn.shared_secret", turn.shared_secret, turn.shared_secret_file),
        ("turn.password", turn.password, turn.password_file),
        ("rtc.livekit_secret", config.rtc.livekit_secret, config.rtc.livekit_secret_file),
    )
    for key, value, file in secrets:
        if value is not None and file is not None:
            wrong.append((key, "(hidden)", "the secret or its file, not both"))
        wrong.extend(_missing(f"{key}_file", file))
    wrong.extend(_missing("mail.extra_ca_file", mail.extra_ca_file))
    if mail.host is not None and mail.sender is None:
        wrong.append(("mail.sender", None, "the address that mail comes from"))
    if threepids.email_at_registration != "off" and mail.host is None:
        wrong.append(("threepids.email_at_registration", threepids.email_at_registration, "off, or a [mail] host"))
    sends_codes = threepids.sms_url is not None or threepids.code_server is not None
    if threepids.msisdn_at_registration != "off" and not sends_codes:
        wrong.append(("threepids.msisdn_at_registration", threepids.msisdn_at_registration, "off, sms_url or code_server"))
    if threepids.code_server is not None and threepids.code_server not in threepids.identity_servers:
        wrong.append(("threepids.code_server", threepids.code_server, "one of identity_servers"))
    if captcha.site_key is not None and captcha.secret is None and captcha.secret_file is None:
        wrong.append(("captcha.secret", None, "the secret key that belongs to site_key"))
    rtc = config.rtc
    if rtc.livekit_url is not None:
        if rtc.livekit_key is None:
            wrong.append(("rtc.livekit_key", None, "the name of the key that livekit_url shares with this server"))
        if rtc.livekit_secret is None and rtc.livekit_secret_file is None:
            wrong.append(("rtc.livekit_secret", None, "the key that livekit_url shares with this server"))
    versions = {(policy.id, policy.version) for policy in config.policies}
    if len(versions) > len({policy_id for policy_id, _ in versions}):
        wrong.append(("policies", sorted(versions), "one version of each policy"))
    return wrong


def _missing(key: str, path: str | None) -> list[tuple[str, object, str]]:
    return [] if path is None or Path(path).is_file() else [(key, path, "a file that exists")]
