"""The sections of the settings, each with its types, defaults, bounds and meanings, and what checks single values.

Deliberately absent: what must fit together (`config`), and how values are read (`config_reading`).
"""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from watchword.base import limits

_SERVER_NAME = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})(:[0-9]{1,5})?", re.ASCII)


def is_server_name(text: str) -> bool:
    """Whether this may be the name of a server. Spec: appendices#server-name"""
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


def _is_any_url(text: str) -> bool:
    return _is_url(text.partition("#")[0].partition("?")[0])


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
URL = {"check": _is_url, "expected": 'a URL such as "https://matrix.example.org"'}
PATH = {"path": True}


def about(text: str, **extra: object) -> Meta:
    """What a setting is for, in a sentence; extra: how its value is read and checked (`config_reading`)."""
    return Meta(description=text, extra=dict(extra) or None)


class Listener(Struct, frozen=True, forbid_unknown_fields=True):
    """One place to listen at. Without any, the server listens at 127.0.0.1:8008 for everything but metrics."""

    host: Annotated[str, about("The address to listen at.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="The port; 0 takes any free one.")] = 8008
    unix_socket: Annotated[str | None, about("A unix socket to listen at instead of an address and port.", **PATH)] = None
    unix_socket_mode: Annotated[str, Meta(pattern="^0?[0-7]{3}$", description="The mode of the socket's file.")] = "660"
    certificate_file: Annotated[
        str | None, about("PEM with the certificate and its chain; without it the listener speaks plain HTTP.", **PATH)
    ] = None
    key_file: Annotated[str | None, about("PEM with the private key of the certificate.", **PATH)] = None
    serves: Annotated[
        tuple[Literal["client", "federation", "metrics"], ...],
        Meta(
            min_length=1,
            description="What is answered here: clients, other servers, or the metrics. `/health` always is.",
        ),
    ] = ("client", "federation")
    trusted_proxies: Annotated[
        tuple[str, ...],
        about("Networks of reverse proxies whose X-Forwarded-For is believed. A unix socket always is.", **_NETWORKS),
    ] = ()


class Registration(Struct, frozen=True):
    """Who may make an account, and how accounts log in."""

    mode: Annotated[
        Literal["invitation", "open", "closed"], about("Who may register: whoever was invited, everybody, or nobody.")
    ] = "invitation"
    guests: Annotated[bool, about("Whether guests without an account may look into rooms that allow it.")] = False
    shared_secret: Annotated[
        str | None,
        Meta(min_length=1, description="Lets provisioning scripts that know it register accounts.", extra={"secret": True}),
    ] = None
    shared_secret_file: Annotated[str | None, about("A file that holds the shared secret.", **PATH)] = None
    invitation_lifetime_ms: Annotated[
        int, Meta(ge=1_000, description="How long an invitation is good if its maker does not say.")
    ] = 7 * 86_400_000
    invitation_uses: Annotated[
        int, Meta(ge=1, description="How many accounts one invitation makes if its maker does not say.")
    ] = 1
    password_login: Annotated[bool, about("Whether a password logs in.")] = True
    login_tokens: Annotated[bool, about("Whether a device that is logged in may get a token that logs another one in.")] = False
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


class Mail(Struct, frozen=True):
    """Outgoing mail. Without a host none is sent, and nothing that needs it is offered."""

    host: Annotated[str | None, about("The relay that takes our mail.")] = None
    port: Annotated[
        int | None, Meta(ge=1, le=65_535, description="Its port; unset is 587 for starttls, 465 for tls, 25 for none.")
    ] = None
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        about("How the way to it is protected. `none` is for a relay on the same machine."),
    ] = "starttls"
    user: Annotated[str | None, about("The account at the relay; unset sends no credentials.")] = None
    password: Annotated[str | None, about("The password of that account.", secret=True)] = None
    password_file: Annotated[str | None, about("A file that holds the password.", **PATH)] = None
    sender: Annotated[
        str | None,
        Meta(pattern="@", description='Whom mail comes from: an address, or "Name <address>". Must be set with host.'),
    ] = None
    verify_certificates: Annotated[
        bool, about("Whether the relay's certificate is checked. Switch it off only in a test set-up.")
    ] = True
    extra_ca_file: Annotated[str | None, about("PEM with a certificate authority to trust besides the system's.", **PATH)] = (
        None
    )


class Push(Struct, frozen=True):
    """What users are notified of, and how. Mails about what is unread go out wherever [mail] is set up."""

    encrypted_events: Annotated[
        bool, about("Whether devices are woken for everything encrypted. Clients must know of it: org.matrix.msc4028.")
    ] = False
    replies: Annotated[bool, about("Whether replies to a user are loud for him: the rule im.nheko.msc3664.reply.")] = False
    mails: Annotated[bool, about("Whether users may have mails about what they have not read.")] = True
    mail_delay_ms: Annotated[int, Meta(ge=60_000, description="How long something is unread before such a mail.")] = 600_000
    mail_bodies: Annotated[bool, about("Whether these mails quote what was said in rooms without encryption.")] = False


class Threepids(Struct, frozen=True):
    """E-mail addresses and telephone numbers of users."""

    changes: Annotated[bool, about("Whether users may add addresses to their accounts.")] = True
    email_at_registration: Annotated[
        Literal["off", "optional", "required"], about("Whether newcomers give an e-mail address. Needs [mail].")
    ] = "off"
    msisdn_at_registration: Annotated[
        Literal["off", "optional", "required"],
        about("Whether newcomers give a telephone number. Needs sms_url or code_server."),
    ] = "off"
    email_allowed: Annotated[tuple[str, ...], about("E-mail addresses that are accepted, `*` and `?` as wildcards.")] = ("*",)
    msisdn_allowed: Annotated[
        tuple[str, ...], about('Telephone numbers that are accepted, as international digits: "49*".')
    ] = ("*",)
    next_link_hosts: Annotated[
        tuple[str, ...],
        about("Hosts of clients to which a browser goes on without asking; our own always, others by a link to click."),
    ] = ()
    identity_servers: Annotated[
        dict[str, str],
        about(
            "Identity servers that are trusted: name to base URL.",
            check=lambda servers: all(_is_url(url) for url in servers.values()),
            expected='a table of names to URLs such as "https://identity.example.org"',
        ),
    ] = {}
    identity_allowed_networks: Annotated[
        tuple[str, ...], about("Private networks in which identity servers may be.", **_NETWORKS)
    ] = ()
    sms_url: Annotated[str | None, about("The gateway that takes text messages as JSON; see how-to/send-e-mail.", **URL)] = None
    sms_token: Annotated[str | None, about("The bearer token for the gateway.", secret=True)] = None
    sms_token_file: Annotated[str | None, about("A file that holds it.", **PATH)] = None
    code_server: Annotated[
        str | None, about("The one of identity_servers that sends codes to telephones, instead of a gateway.")
    ] = None
    code_token: Annotated[str | None, about("Our access token there.", secret=True)] = None
    code_token_file: Annotated[str | None, about("A file that holds it.", **PATH)] = None


class Captcha(Struct, frozen=True):
    """A riddle for newcomers without an invitation, where registration is open. Off without a site_key."""

    site_key: Annotated[str | None, about("The public key of this site.")] = None
    secret: Annotated[str | None, about("The secret key of this site.", secret=True)] = None
    secret_file: Annotated[str | None, about("A file that holds it.", **PATH)] = None
    verify_url: Annotated[str, about("Where answers are checked.", **URL)] = "https://www.google.com/recaptcha/api/siteverify"
    script_url: Annotated[str, about("The script that draws the riddle in a browser.", **URL)] = (
        "https://www.google.com/recaptcha/api.js"
    )
    css_class: Annotated[
        str,
        Meta(
            pattern="^[a-z][a-z-]{0,63}$",
            description="The class that the script looks for: `g-recaptcha`, `h-captcha` or `cf-turnstile`.",
        ),
    ] = "g-recaptcha"


class PolicyDocument(Struct, frozen=True):
    """One policy in one language, to which newcomers must agree. All languages of a policy share its id and version."""

    id: Annotated[str, Meta(pattern="^[a-z0-9_.-]{1,64}$", description="A name such as `privacy`.")]
    version: Annotated[str, Meta(min_length=1, max_length=64, description="The version; what was agreed to is kept.")]
    name: Annotated[str, Meta(min_length=1, max_length=255, description="What it is called.")]
    url: Annotated[
        str, about("Where it can be read.", check=_is_any_url, expected='a URL such as "https://example.org/privacy?lang=en"')
    ]
    language: Annotated[str, Meta(pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", description="Its language.")] = "en"


class Turn(Struct, frozen=True):
    """The TURN server through which calls go where two devices cannot reach each other. Off without uris."""

    uris: Annotated[
        tuple[str, ...],
        about(
            "Where it is.",
            check=lambda uris: all(uri.startswith(("turn:", "turns:")) for uri in uris),
            expected='a list such as "turn:turn.example.org?transport=udp"',
        ),
    ] = ()
    shared_secret: Annotated[str | None, about("The secret that it shares with us; it makes passwords.", secret=True)] = None
    shared_secret_file: Annotated[str | None, about("A file that holds it.", **PATH)] = None
    user: Annotated[str | None, about("A fixed user name, where there is no shared secret.")] = None
    password: Annotated[str | None, about("The password of that user.", secret=True)] = None
    password_file: Annotated[str | None, about("A file that holds it.", **PATH)] = None
    lifetime_ms: Annotated[int, Meta(ge=60_000, description="How long a password made from the shared secret is good.")] = (
        86_400_000
    )


class Rtc(Struct, frozen=True):
    """Media servers for group calls."""

    livekit_service_urls: Annotated[
        tuple[str, ...],
        about(
            "Services that let members of a call into a LiveKit server, the preferred one first.",
            check=lambda urls: all(map(_is_url, urls)),
            expected='a list of URLs such as "https://calls.example.org/livekit"',
        ),
    ] = ()
    livekit_url: Annotated[
        str | None,
        about(
            "A LiveKit server into which this server lets people itself; where clients connect to it.",
            check=lambda url: url.startswith(("wss://", "ws://")) and _is_any_url("http" + url.removeprefix("ws")),
            expected='a URL such as "wss://livekit.example.org"',
        ),
    ] = None
    livekit_api_url: Annotated[str | None, about("Where this server reaches it; unset is livekit_url with https.", **URL)] = (
        None
    )
    livekit_key: Annotated[str | None, about("The name of the key that it shares with us.")] = None
    livekit_secret: Annotated[str | None, about("That key: at least 32 characters.", secret=True)] = None
    livekit_secret_file: Annotated[str | None, about("A file that holds it.", **PATH)] = None
    livekit_networks: Annotated[tuple[str, ...], about("Private networks in which it may be.", **_NETWORKS)] = (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    )
    token_lifetime_ms: Annotated[int, Meta(ge=60_000, le=86_400_000, description="How long one may enter with a token.")] = (
        600_000
    )
    member_power_level: Annotated[
        int, about("What it takes to be in a call, in rooms made here while media servers are set up; 50 as for other state.")
    ] = 0


class DelayedEvents(Struct, frozen=True):
    """Events that clients leave here to be sent later. Calls need them: so others learn that somebody has lost connection."""

    enabled: Annotated[bool, about("Whether events can be sent later.")] = True
    delay_ms_max: Annotated[int, Meta(ge=1_000, le=31_536_000_000, description="The longest delay, in milliseconds.")] = (
        86_400_000
    )
    scheduled_max: Annotated[int, Meta(ge=1, le=10_000, description="How many events of one user may wait at once.")] = 100


class Rate(Struct, frozen=True):
    """A bucket: burst requests at once, per_second in the long run."""

    per_second: Annotated[float, Meta(gt=0, description="Requests per second in the long run.")]
    burst: Annotated[int, Meta(ge=1, description="Requests at once.")]


class RateLimits(Struct, frozen=True):
    """How often one user, address or server may ask."""

    enabled: Annotated[bool, about("Whether rates are limited at all.")] = True
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

    enabled: Annotated[bool, about("Whether this server talks with others at all.")] = True
    verify_certificates: Annotated[bool, about("Whether certificates are checked. Switch it off only in a test set-up.")] = True
    extra_ca_files: Annotated[
        tuple[str, ...], about("PEM files of certificate authorities to trust besides the system's.", **PATH)
    ] = ()
    allowed_networks: Annotated[
        tuple[str, ...],
        about("Private networks in which other servers may be; public addresses always may.", **_NETWORKS),
    ] = ()
    allow_servers: Annotated[
        tuple[str, ...] | None, about("Server names to talk with, `*` and `?` as wildcards; unset is everybody.")
    ] = None
    deny_servers: Annotated[tuple[str, ...], about("Server names never to talk with; wins over allow_servers.")] = ()
    hosts: Annotated[
        dict[str, str],
        about(
            "Where a server is, instead of looking it up: server name to host and port.",
            check=lambda hosts: all(is_server_name(name) and _is_host_and_port(at) for name, at in hosts.items()),
            expected='a table of server names to places such as "127.0.0.1:8448"',
        ),
    ] = {}
    notaries: Annotated[
        tuple[str, ...],
        about(
            "Servers that are asked for the keys of a server that does not answer.",
            check=lambda names: all(map(is_server_name, names)),
            expected="a list of server names",
        ),
    ] = ()
    request_timeout_ms: Annotated[int, Meta(ge=1_000, description="How long another server may take to answer.")] = 30_000
    large_request_timeout_ms: Annotated[int, Meta(ge=1_000, description="The same for joins, states and transactions.")] = (
        180_000
    )


class Appservices(Struct, frozen=True):
    """Bridges and bots that this server lets act for users of their own."""

    registration_files: Annotated[
        tuple[str, ...], about("The registration files (YAML) that bridges generate; read at start.", **PATH)
    ] = ()
    allowed_networks: Annotated[
        tuple[str, ...], about("Private networks in which application services may be.", **_NETWORKS)
    ] = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class Egress(Struct, frozen=True):
    """Requests to other machines of every kind."""

    nameservers: Annotated[
        tuple[str, ...],
        about(
            "Name servers to ask instead of the system's.",
            check=lambda texts: all(map(_is_nameserver, texts)),
            expected='a list of addresses such as "9.9.9.9" or "127.0.0.1:5353"',
        ),
    ] = ()
    push_allowed_networks: Annotated[
        tuple[str, ...], about("Private networks in which push gateways may be.", **_NETWORKS)
    ] = ()


class Media(Struct, frozen=True):
    """Uploads and downloads."""

    folder: Annotated[str | None, about("Where files are kept; unset is `media` in the data folder.", **PATH)] = None
    upload_bytes_max: Annotated[
        int, Meta(ge=1, le=limits.media_body_bytes_max, description="The largest file that a user may upload.")
    ] = 50 << 20
    remote_bytes_max: Annotated[int, Meta(ge=1, description="The largest file that is fetched from another server.")] = (
        100 << 20
    )
    remote_kept_ms: Annotated[
        int | None,
        Meta(
            ge=3_600_000,
            description="How long a file of another server is kept after it was last asked for; unset is for ever.",
        ),
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
        bool, about("Whether the redaction of an unencrypted event deletes the files that its sender uploaded for it.")
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

    enabled: Annotated[bool, about("Whether there are previews at all.")] = False
    allow_hosts: Annotated[
        tuple[str, ...] | None, about("Hosts that may be visited, `*` and `?` as wildcards; unset is every public one.")
    ] = None
    deny_hosts: Annotated[tuple[str, ...], about("Hosts never to visit; wins over allow_hosts.")] = ()
    allowed_networks: Annotated[
        tuple[str, ...], about("Private networks that may be visited; public addresses always may.", **_NETWORKS)
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
    forget_left: Annotated[bool, about("Whether rooms are forgotten for their users as soon as they left them.")] = False


class Notices(Struct, frozen=True):
    """What the server itself says to its users, in a room for each."""

    localpart: Annotated[
        str | None, Meta(pattern="^[a-z0-9._=/+-]+$", description="The name of the user who talks; unset switches notices off.")
    ] = None
    display_name: Annotated[str | None, about("What this user is called.")] = None
    avatar_url: Annotated[str | None, Meta(pattern="^mxc://", description="The picture of this user.")] = None
    room_name: Annotated[str, Meta(min_length=1, description="What the rooms are called.")] = "Server notices"
    room_topic: Annotated[str | None, about("The topic of the rooms.")] = None
    room_avatar_url: Annotated[str | None, Meta(pattern="^mxc://", description="The picture of the rooms.")] = None


class Retention(Struct, frozen=True):
    """How long messages are kept. A room may wish it with m.room.retention."""

    enabled: Annotated[bool, about("Whether old messages are taken from the disk at all.")] = False
    default_lifetime_ms: Annotated[
        int | None, Meta(ge=60_000, description="The life of messages in rooms that wish nothing; unset is for ever.")
    ] = None
    lifetime_min_ms: Annotated[
        int | None, Meta(ge=60_000, description="The shortest life that a room may wish; unset is any.")
    ] = None
    lifetime_max_ms: Annotated[
        int | None, Meta(ge=60_000, description="The longest life that a room may wish; unset is any.")
    ] = None


class Admin(Struct, frozen=True):
    """What administrators do."""

    audit_kept_ms: Annotated[
        int, Meta(ge=86_400_000, description="How long the audit log keeps what administrators did and saw.")
    ] = 400 * 86_400_000


class Moderation(Struct, frozen=True):
    """What the operator does not want here."""

    policy_rooms: Annotated[
        tuple[str, ...],
        about(
            "IDs of rooms with policy lists that hold for the whole server. Somebody of it must be in them.",
            check=lambda rooms: all(room.startswith("!") for room in rooms),
            expected='a list of room IDs such as "!abc:example.org"',
        ),
    ] = ()


class Database(Struct, frozen=True):
    """Where everything but media is kept."""

    path: Annotated[str | None, about("The SQLite file; unset is `watchword.db` in the data folder.", **PATH)] = None
    cache_bytes: Annotated[int, Meta(ge=1 << 20, description="Memory for pages of the database.")] = 32 << 20


class Sync(Struct, frozen=True):
    """What sync keeps in memory."""

    rooms_in_memory_max: Annotated[int, Meta(ge=10, description="Rooms kept in memory; others are loaded when needed.")] = (
        limits.rooms_in_memory_max
    )
    event_cache_max: Annotated[int, Meta(ge=100, description="Events kept in memory.")] = limits.event_cache_max


class Presence(Struct, frozen=True):
    """Who is online."""

    enabled: Annotated[bool, about("Whether users see who is online. It costs traffic with other servers.")] = True


class People(Struct, frozen=True):
    """Who may find and see whom. Whoever shares a room with somebody, or is in a room that is open to all, is always seen."""

    all_found: Annotated[
        bool, about("Whether users of this server find each other in the user directory without sharing a room.")
    ] = True
    profiles_restricted: Annotated[
        bool, about("Whether profiles are shown only to those who share a room with somebody, or meet him in an open one.")
    ] = False


class Rendezvous(Struct, frozen=True):
    """Signing in a device with the help of another, by QR code."""

    enabled: Annotated[bool, about("Whether devices may meet here.")] = True
    open_to_all: Annotated[
        bool,
        about("Whether a device that is not logged in yet may begin, so that it may be the one that shows the code."),
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

    level: Annotated[Literal["debug", "info", "warning", "error"], about("The least important lines that are written.")] = (
        "info"
    )
    json: Annotated[bool, about("Whether lines are JSON instead of text.")] = False
    requests: Annotated[bool, about("Whether each request gets a line: method, path template, status, time.")] = False


class Metrics(Struct, frozen=True):
    """Numbers for Prometheus at `/_watchword/metrics`, on listeners that serve `metrics`."""

    enabled: Annotated[bool, about("Whether the numbers are shown. They name no user and no room.")] = True


class WellKnown(Struct, frozen=True):
    """What `/.well-known/matrix/…` says at the host of the server name."""

    client_base_url: Annotated[str | None, about("The URL that clients are sent to; unset is public_base_url.", **URL)] = None
    identity_base_url: Annotated[
        str | None, about("The identity server that clients are told of; one of threepids.identity_servers.", **URL)
    ] = None
    server: Annotated[
        str | None,
        about(
            "Where other servers are sent to, as host and port; unset says nothing.",
            check=is_server_name,
            expected='a host with or without port such as "matrix.example.org:443"',
        ),
    ] = None
    policy_server_key: Annotated[
        str | None,
        Meta(
            pattern="^[A-Za-z0-9+/]{43}$",
            description="The public key of the policy server under this name, Ed25519 in unpadded base64; unset says nothing.",
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
    support_page: Annotated[str | None, about("A page that helps users.", **URL)] = None


class Provider(Struct, frozen=True, kw_only=True):
    """A provider of OpenID Connect. Tell it this redirect URI: `public_base_url` with `/_watchword/upstream/callback`."""

    id: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9._~-]{1,64}$",
            description="A short name of yours. It can never be changed: users are known by it.",
        ),
    ]
    name: Annotated[str, Meta(min_length=1, max_length=64, description="What users read on the button.")]
    issuer: Annotated[str, about("The provider's issuer, where `/.well-known/openid-configuration` is found.", **URL)]
    client_id: Annotated[str, Meta(min_length=1, description="What the provider calls this server.")]
    client_secret: Annotated[
        str | None, Meta(min_length=1, description="The secret that goes with it.", extra={"secret": True})
    ] = None
    client_secret_file: Annotated[str | None, about("A file that holds the secret.", **PATH)] = None
    scopes: Annotated[tuple[str, ...], about("What is asked of the provider besides `openid`.")] = ("profile",)
    icon: Annotated[str | None, Meta(pattern="^mxc://", description="A picture for clients, as an mxc URI.")] = None
    brand: Annotated[
        str | None, Meta(pattern="^[a-z0-9._-]{1,255}$", description="How clients know it, such as `gitlab` or `google`.")
    ] = None
    localpart_claim: Annotated[str, Meta(min_length=1, description="The claim that a new user name is made from.")] = (
        "preferred_username"
    )
    displayname_claim: Annotated[str, Meta(min_length=1, description="The claim that a display name is made from.")] = "name"
    registration: Annotated[
        Literal["closed", "invitation", "open"],
        about("Whether somebody new to this server gets an account: never, with an invitation, or always."),
    ] = "invitation"
    adopt_accounts: Annotated[
        bool,
        about(
            "Whether somebody gets the account that has his name already. Only for a provider whose names nobody can choose "
            "for himself."
        ),
    ] = False

    def secret(self) -> str | None:
        """The secret, from the setting or its file."""
        if self.client_secret_file is None:
            return self.client_secret
        return Path(self.client_secret_file).read_text("utf-8").strip() or None


class OAuth(Struct, frozen=True):
    """Signing in at this server's own pages: the OAuth 2.0 API of Matrix, the account page, and single sign-on."""

    enabled: Annotated[
        bool, about("Whether clients may sign in through OAuth. Providers need it: users come back to its pages.")
    ] = True
    providers: tuple[Provider, ...] = ()
    provider_networks: Annotated[
        tuple[str, ...], about("Private networks in which providers may be; public addresses always may.", **_NETWORKS)
    ] = ()
