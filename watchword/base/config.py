"""Every setting an operator may choose, with its type, default, bounds and meaning. `docs/configuration.md` is made of it.

One TOML file, then the environment (`WATCHWORD_FEDERATION__ENABLED=false`), then flags (`federation.enabled`): the last
one wins. Everything is checked at the start and every mistake is shown at once. Read once, changed by nobody, handed
over by `app.py` in the parts that a feature needs. Deliberately absent: settings that an administrator changes while
the server runs (those are in the database), and anything that is a constant of the protocol (`limits.py`).

Durations (`…_ms`) may be written as "7d", "12h", "30m", "10s" or a number of milliseconds, sizes (`…_bytes…`) as "50MiB",
"100MB" or a number of bytes.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from watchword.base import limits
from watchword.base.config_reading import ConfigErrors, read
from watchword.base.errors import ConfigError

_SERVER_NAME = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})(:[0-9]{1,5})?", re.ASCII)


def _is_server_name(text: str) -> bool:
    if _SERVER_NAME.fullmatch(text) is None or len(text) > limits.identifier_bytes_max - 2:
        return False
    host, _, port = text.rpartition(":") if re.search(r":[0-9]{1,5}$", text) and not text.endswith("]") else (text, "", "")
    return bool(host) and (not port or 0 < int(port) < 65_536)


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65_536


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _is_nameserver(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return _is_host_and_port(text) and _is_nameserver(text.rpartition(":")[0].strip("[]"))
    return True


def _all_networks(texts: tuple[str, ...]) -> bool:
    return all(map(_is_network, texts))


_NETWORKS = {"check": _all_networks, "expected": 'a list of networks such as "10.0.0.0/8" or "fd00::/8"'}
_URL = {"check": _is_url, "expected": 'a URL such as "https://matrix.example.org"'}
_PATH = {"path": True}


def _about(text: str, **extra: object) -> Meta:
    return Meta(description=text, extra=dict(extra) or None)


class Listener(Struct, frozen=True, forbid_unknown_fields=True):
    """One place to listen at. Without any, the server listens at 127.0.0.1:8008 for everything but metrics."""

    host: Annotated[str, _about("The address to listen at.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="The port; 0 takes any free one.")] = 8008
    unix_socket: Annotated[str | None, _about("A unix socket to listen at instead of an address and port.", **_PATH)] = None
    unix_socket_mode: Annotated[str, Meta(pattern="^0?[0-7]{3}$", description="The mode of the socket's file.")] = "660"
    certificate_file: Annotated[
        str | None, _about("PEM with the certificate and its chain; without it the listener speaks plain HTTP.", **_PATH)
    ] = None
    key_file: Annotated[str | None, _about("PEM with the private key of the certificate.", **_PATH)] = None
    serves: Annotated[
        tuple[Literal["client", "federation", "metrics"], ...],
        Meta(
            min_length=1,
            description="What is answered here: clients, other servers, or the metrics. `/health` always is.",
        ),
    ] = ("client", "federation")
    trusted_proxies: Annotated[
        tuple[str, ...],
        _about("Networks of reverse proxies whose X-Forwarded-For is believed. A unix socket always is.", **_NETWORKS),
    ] = ()


class Registration(Struct, frozen=True):
    """Who may make an account, and how accounts log in."""

    mode: Annotated[
        Literal["invitation", "open", "closed"], _about("Who may register: whoever was invited, everybody, or nobody.")
    ] = "invitation"
    guests: Annotated[bool, _about("Whether guests without an account may look into rooms that allow it.")] = False
    shared_secret: Annotated[
        str | None,
        Meta(min_length=1, description="Lets provisioning scripts that know it register accounts.", extra={"secret": True}),
    ] = None
    shared_secret_file: Annotated[str | None, _about("A file that holds the shared secret.", **_PATH)] = None
    invitation_lifetime_ms: Annotated[
        int, Meta(ge=1_000, description="How long an invitation is good if its maker does not say.")
    ] = 7 * 86_400_000
    invitation_uses: Annotated[
        int, Meta(ge=1, description="How many accounts one invitation makes if its maker does not say.")
    ] = 1
    password_login: Annotated[bool, _about("Whether a password logs in.")] = True
    password_characters_min: Annotated[int, Meta(ge=1, le=512, description="The shortest password that is accepted.")] = 8
    password_workers: Annotated[
        int, Meta(ge=1, le=64, description="Threads that check passwords; each takes 19 MiB and one core for 40 ms a password.")
    ] = 1
    failed_logins_max: Annotated[
        int, Meta(ge=0, description="Wrong passwords per user and address in five minutes; 0 does not count them.")
    ] = limits.failed_logins_max
    access_token_lifetime_ms: Annotated[
        int, Meta(ge=1_000, description="The life of an access token whose client can refresh it.")
    ] = 900_000
    session_lifetime_ms: Annotated[
        int | None, Meta(ge=1_000, description="The life of an access token whose client cannot refresh it; unset is for ever.")
    ] = None


class Rate(Struct, frozen=True):
    """A bucket: burst requests at once, per_second in the long run."""

    per_second: Annotated[float, Meta(gt=0, description="Requests per second in the long run.")]
    burst: Annotated[int, Meta(ge=1, description="Requests at once.")]


class RateLimits(Struct, frozen=True):
    """How often one user, address or server may ask."""

    enabled: Annotated[bool, _about("Whether rates are limited at all.")] = True
    read: Rate = Rate(100, 1_000)
    write: Rate = Rate(10, 100)
    message: Rate = Rate(10, 100)
    login: Rate = Rate(0.2, 10)
    register: Rate = Rate(0.1, 5)
    invite: Rate = Rate(0.5, 20)
    media: Rate = Rate(10, 200)
    federation: Rate = Rate(50, 500)


class Federation(Struct, frozen=True):
    """Talking with other servers."""

    enabled: Annotated[bool, _about("Whether this server talks with others at all.")] = True
    verify_certificates: Annotated[bool, _about("Whether certificates are checked. Switch it off only in a test set-up.")] = (
        True
    )
    extra_ca_files: Annotated[
        tuple[str, ...], _about("PEM files of certificate authorities to trust besides the system's.", **_PATH)
    ] = ()
    allowed_networks: Annotated[
        tuple[str, ...],
        _about("Private networks in which other servers may be; public addresses always may.", **_NETWORKS),
    ] = ()
    allow_servers: Annotated[
        tuple[str, ...] | None, _about("Server names to talk with, `*` and `?` as wildcards; unset is everybody.")
    ] = None
    deny_servers: Annotated[tuple[str, ...], _about("Server names never to talk with; wins over allow_servers.")] = ()
    hosts: Annotated[
        dict[str, str],
        _about(
            "Where a server is, instead of looking it up: server name to host and port.",
            check=lambda hosts: all(_is_server_name(name) and _is_host_and_port(at) for name, at in hosts.items()),
            expected='a table of server names to places such as "127.0.0.1:8448"',
        ),
    ] = {}
    notaries: Annotated[
        tuple[str, ...],
        _about(
            "Servers that are asked for the keys of a server that does not answer.",
            check=lambda names: all(map(_is_server_name, names)),
            expected="a list of server names",
        ),
    ] = ()
    request_timeout_ms: Annotated[int, Meta(ge=1_000, description="How long another server may take to answer.")] = 30_000
    large_request_timeout_ms: Annotated[int, Meta(ge=1_000, description="The same for joins, states and transactions.")] = (
        180_000
    )


class Egress(Struct, frozen=True):
    """Requests to other machines of every kind."""

    nameservers: Annotated[
        tuple[str, ...],
        _about(
            "Name servers to ask instead of the system's.",
            check=lambda texts: all(map(_is_nameserver, texts)),
            expected='a list of addresses such as "9.9.9.9" or "127.0.0.1:5353"',
        ),
    ] = ()
    push_allowed_networks: Annotated[
        tuple[str, ...], _about("Private networks in which push gateways may be.", **_NETWORKS)
    ] = ()


class Media(Struct, frozen=True):
    """Uploads and downloads."""

    folder: Annotated[str | None, _about("Where files are kept; unset is `media` in the data folder.", **_PATH)] = None
    upload_bytes_max: Annotated[
        int, Meta(ge=1, le=limits.media_body_bytes_max, description="The largest file that a user may upload.")
    ] = 50 << 20
    remote_bytes_max: Annotated[int, Meta(ge=1, description="The largest file that is fetched from another server.")] = (
        100 << 20
    )
    remote_kept_ms: Annotated[
        int | None,
        Meta(ge=3_600_000, description="How long a file of another server is kept after it was last asked for; unset is for ever."),
    ] = 90 * 86_400_000
    remote_total_bytes_max: Annotated[
        int | None,
        Meta(ge=0, description="How much of other servers' files is kept; beyond it, those go that nobody asked for longest."),
    ] = 20 << 30
    quota_bytes_max: Annotated[
        int | None, Meta(ge=0, description="How much one user may store; unset is unlimited. Administrators are exempt.")
    ] = None
    quota_bytes_per_day_max: Annotated[int | None, Meta(ge=0, description="How much one user may upload in a day.")] = None
    quota_files_max: Annotated[int | None, Meta(ge=0, description="How many files one user may store.")] = None
    pending_uploads_max: Annotated[
        int, Meta(ge=0, description="How many names for later uploads one user may hold at once.")
    ] = limits.pending_uploads_max
    delete_with_event: Annotated[
        bool, _about("Whether the redaction of an unencrypted event deletes the files that its sender uploaded for it.")
    ] = True
    unauthenticated_before_ts: Annotated[
        int,
        Meta(
            ge=0,
            description="Files stored before this time (milliseconds since 1970) can be downloaded without an account, as old "
            "clients do; 0 allows none.",
        ),
    ] = 0


class UrlPreviews(Struct, frozen=True):
    """Previews of web pages that are linked in messages. The server visits the pages: it learns which ones, and they see it."""

    enabled: Annotated[bool, _about("Whether there are previews at all.")] = False
    allow_hosts: Annotated[
        tuple[str, ...] | None, _about("Hosts that may be visited, `*` and `?` as wildcards; unset is every public one.")
    ] = None
    deny_hosts: Annotated[tuple[str, ...], _about("Hosts never to visit; wins over allow_hosts.")] = ()
    allowed_networks: Annotated[
        tuple[str, ...], _about("Private networks that may be visited; public addresses always may.", **_NETWORKS)
    ] = ()
    language: Annotated[
        str,
        Meta(pattern="^[A-Za-z0-9,;=.* -]{1,100}$", description="The language to ask pages for where a client does not say."),
    ] = "en"
    kept_ms: Annotated[int, Meta(ge=3_600_000, description="How long previews and their pictures are remembered.")] = (
        7 * 86_400_000
    )


class Rooms(Struct, frozen=True):
    """Rooms made here."""

    default_version: Annotated[str, Meta(min_length=1, max_length=32, description="The version of rooms made here.")] = "12"


class Database(Struct, frozen=True):
    """Where everything but media is kept."""

    path: Annotated[str | None, _about("The SQLite file; unset is `watchword.db` in the data folder.", **_PATH)] = None
    cache_bytes: Annotated[int, Meta(ge=1 << 20, description="Memory for pages of the database.")] = 32 << 20


class Sync(Struct, frozen=True):
    """What sync keeps in memory."""

    rooms_in_memory_max: Annotated[int, Meta(ge=10, description="Rooms kept in memory; others are loaded when needed.")] = (
        limits.rooms_in_memory_max
    )
    event_cache_max: Annotated[int, Meta(ge=100, description="Events kept in memory.")] = limits.event_cache_max


class Presence(Struct, frozen=True):
    """Who is online."""

    enabled: Annotated[bool, _about("Whether users see who is online. It costs traffic with other servers.")] = True


class Rendezvous(Struct, frozen=True):
    """Signing in a device with the help of another, by QR code."""

    enabled: Annotated[bool, _about("Whether devices may meet here.")] = True
    open_to_all: Annotated[
        bool,
        _about("Whether a device that is not logged in yet may begin, so that it may be the one that shows the code."),
    ] = False


class Limits(Struct, frozen=True):
    """What the process takes on at once."""

    connections_max: Annotated[int, Meta(ge=1, description="Open connections of one listener.")] = limits.connections_max
    requests_active_max: Annotated[
        int, Meta(ge=1, description="Requests under way, long-polls included; more are answered with 503.")
    ] = limits.requests_active_max
    header_timeout_ms: Annotated[int, Meta(ge=100, description="How long a client may take to send the head of a request.")] = (
        limits.header_timeout_ms
    )
    keep_alive_timeout_ms: Annotated[int, Meta(ge=1_000, description="How long an idle connection is kept.")] = (
        limits.keep_alive_timeout_ms
    )
    stop_grace_ms: Annotated[int, Meta(ge=0, description="How long requests may go on after the order to stop.")] = (
        limits.stop_grace_ms
    )


class Logs(Struct, frozen=True):
    """What the server says of itself."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _about("The least important lines that are written.")] = (
        "info"
    )
    json: Annotated[bool, _about("Whether lines are JSON instead of text.")] = False
    requests: Annotated[bool, _about("Whether each request gets a line: method, path template, status, time.")] = False


class Metrics(Struct, frozen=True):
    """Numbers for Prometheus at `/_watchword/metrics`, on listeners that serve `metrics`."""

    enabled: Annotated[bool, _about("Whether the numbers are shown. They name no user and no room.")] = True


class WellKnown(Struct, frozen=True):
    """What `/.well-known/matrix/…` says at the host of the server name."""

    client_base_url: Annotated[str | None, _about("The URL that clients are sent to; unset is public_base_url.", **_URL)] = None
    server: Annotated[
        str | None,
        _about(
            "Where other servers are sent to, as host and port; unset says nothing.",
            check=_is_server_name,
            expected='a host with or without port such as "matrix.example.org:443"',
        ),
    ] = None


class Contact(Struct, frozen=True):
    """Whom to ask. Shown at `/.well-known/matrix/support` and where a limit is reached."""

    admin_user_id: Annotated[str | None, Meta(pattern="^@.+:.+$", description="The Matrix address of an administrator.")] = None
    admin_email: Annotated[str | None, Meta(pattern="^[^@ ]+@[^@ ]+$", description="The mail address of an administrator.")] = (
        None
    )
    security_email: Annotated[
        str | None, Meta(pattern="^[^@ ]+@[^@ ]+$", description="The mail address for reports of weaknesses.")
    ] = None
    support_page: Annotated[str | None, _about("A page that helps users.", **_URL)] = None


class OAuth(Struct, frozen=True):
    """Signing in at this server's own pages: the OAuth 2.0 API of Matrix and the account page."""

    enabled: Annotated[
        bool, _about("Whether clients may sign in through OAuth. The pages need it, and providers need the pages.")
    ] = True


class Config(Struct, frozen=True, kw_only=True):
    """The settings of one server."""

    server_name: Annotated[
        str,
        _about(
            "The name in every user ID and room alias of this server. It can never be changed.",
            check=_is_server_name,
            expected='a server name such as "example.org"',
        ),
    ]
    public_base_url: Annotated[str | None, _about("Where clients reach this server; unset is https://server_name.", **_URL)] = (
        None
    )
    data_dir: Annotated[str, _about("The folder that holds the database, the keys and the media.", **_PATH)] = "data"
    signing_key_file: Annotated[
        str | None, _about("The key that signs for this server; unset is `signing.key` in the data folder.", **_PATH)
    ] = None
    listeners: tuple[Listener, ...] = (Listener(),)
    registration: Registration = Registration()
    oauth: OAuth = OAuth()
    rate_limits: RateLimits = RateLimits()
    federation: Federation = msgspec.field(default_factory=Federation)
    egress: Egress = Egress()
    media: Media = Media()
    url_previews: UrlPreviews = UrlPreviews()
    rooms: Rooms = Rooms()
    database: Database = Database()
    sync: Sync = Sync()
    presence: Presence = Presence()
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
    for name in config.federation.extra_ca_files:
        wrong.extend(_missing("federation.extra_ca_files", name))
    return wrong


def _missing(key: str, path: str | None) -> list[tuple[str, object, str]]:
    return [] if path is None or Path(path).is_file() else [(key, path, "a file that exists")]
