"""What the operator configured, as the settings that each feature asks for. Deliberately absent: wiring."""

from collections.abc import Sequence

from watchword import __version__
from watchword.base import limits
from watchword.base.config import Config, secret_of
from watchword.base.errors import ConfigError
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import Resolver
from watchword.edge.fetch import Fetcher
from watchword.protocol.default_push_rules import predefined
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server.accounts.commands import AccountSettings, IdentityProvider, RegistrationMode
from watchword.server.app.outside import captcha_settings, policies, threepid_settings
from watchword.server.calls.commands import CallSettings, LiveKitSettings
from watchword.server.calls.decide import rtc_transports
from watchword.server.delayed.commands import DelaySettings
from watchword.server.discovery.settings import Contact, DiscoverySettings
from watchword.server.federation.settings import FederationSettings
from watchword.server.media.commands import MediaSettings, PreviewSettings, Quota
from watchword.server.notices.commands import NoticeSettings
from watchword.server.oauth.commands import OAuthSettings, ProviderSettings
from watchword.server.push.commands import DigestSettings, PushSettings
from watchword.server.rooms.assembly import RoomLimits
from watchword.server.rooms.retention_policy import RetentionSettings
from watchword.server.search.assembly import SearchSettings

_CALL_STATE = "org.matrix.msc3401.call.member"


def fetcher(config: Config, resolver: Resolver) -> Fetcher:
    """The client for other servers and for media."""
    return Fetcher(
        resolver,
        AddressPolicy(config.federation.allowed_networks),
        user_agent=f"Watchword/{__version__}",
        verify_certificates=config.federation.verify_certificates,
        extra_ca_files=config.federation.extra_ca_files,
    )


def appservice_fetcher(config: Config, resolver: Resolver) -> Fetcher:
    """The client for application services: where they are, the operator himself has written."""
    policy = AddressPolicy(config.appservices.allowed_networks)
    return Fetcher(resolver, policy, user_agent=f"Watchword/{__version__}", plain_http=True)


def push_fetcher(config: Config, resolver: Resolver) -> Fetcher:
    """The client for push gateways."""
    return Fetcher(resolver, AddressPolicy(config.egress.push_allowed_networks), user_agent=f"Watchword/{__version__}")


def preview_fetcher(config: Config, resolver: Resolver) -> Fetcher | None:
    """The client for web pages; None where there are no previews, which saves its certificates' memory."""
    if not config.url_previews.enabled:
        return None
    return Fetcher(
        resolver,
        AddressPolicy(config.url_previews.allowed_networks),
        user_agent=f"Watchword/{__version__} (bot)",
        plain_http=True,
        connections_max=limits.preview_connections_max,
    )


def federation_settings(config: Config, server_name: ServerName) -> FederationSettings:
    """What federation needs to know."""
    wanted = config.federation
    return FederationSettings(
        server_name=server_name,
        allow=wanted.allow_servers if wanted.enabled else (),
        deny=wanted.deny_servers,
        overrides={ServerName(name): place for name, place in wanted.hosts.items()},
        notaries=tuple(ServerName(name) for name in wanted.notaries),
        presence=config.presence.enabled,
        request_timeout_ms=wanted.request_timeout_ms,
        large_request_timeout_ms=wanted.large_request_timeout_ms,
    )


def account_settings(config: Config, server_name: ServerName) -> AccountSettings:
    """What accounts need to know."""
    wanted = config.registration
    return AccountSettings(
        server_name=server_name,
        registration=RegistrationMode(wanted.mode),
        guests=wanted.guests,
        password_login=wanted.password_login,
        password_characters_min=wanted.password_characters_min,
        password_workers=wanted.password_workers,
        refreshable_token_lifetime_ms=wanted.access_token_lifetime_ms,
        session_lifetime_ms=wanted.session_lifetime_ms,
        failed_logins_max=wanted.failed_logins_max,
        shared_secret=config.shared_secret(),
        presence=config.presence.enabled,
        public_base_url=config.base_url,
        threepids=threepid_settings(config),
        policies=policies(config),
        captcha=captcha_settings(config),
        login_tokens=wanted.login_tokens,
        identity_providers=tuple(
            IdentityProvider(provider.id, provider.name, provider.icon, provider.brand) for provider in config.oauth.providers
        ),
    )


def oauth_settings(config: Config, server_name: ServerName) -> OAuthSettings:
    """What OAuth and its pages need to know."""
    return OAuthSettings(
        server_name=server_name,
        base_url=config.base_url,
        providers=tuple(
            ProviderSettings(
                provider_id=provider.id,
                name=provider.name,
                issuer=provider.issuer,
                client_id=provider.client_id,
                client_secret=provider.secret(),
                scopes=provider.scopes,
                localpart_claim=provider.localpart_claim,
                displayname_claim=provider.displayname_claim,
                registration=RegistrationMode(provider.registration),
                adopts_accounts=provider.adopt_accounts,
            )
            for provider in config.oauth.providers
        ),
    )


def provider_fetcher(config: Config, resolver: Resolver) -> Fetcher:
    """The client for providers of OpenID Connect."""
    return Fetcher(
        resolver,
        AddressPolicy(config.oauth.provider_networks),
        user_agent=f"Watchword/{__version__}",
        plain_http=any(provider.issuer.startswith("http:") for provider in config.oauth.providers),
    )


def livekit_settings(config: Config) -> LiveKitSettings | None:
    """The LiveKit server of our own; None without one. Raises ConfigError."""
    rtc = config.rtc
    if rtc.livekit_url is None or rtc.livekit_key is None:
        return None
    secret = secret_of(rtc.livekit_secret, rtc.livekit_secret_file) or ""
    if len(secret) < limits.livekit_secret_characters_min:
        raise ConfigError("(secret)", "rtc.livekit_secret", "(hidden)", "at least 32 characters, as LiveKit asks for")
    api_url = rtc.livekit_api_url or "http" + rtc.livekit_url.removeprefix("ws")
    return LiveKitSettings(rtc.livekit_url, api_url, rtc.livekit_key, secret, rtc.token_lifetime_ms)


def livekit_fetcher(config: Config, resolver: Resolver) -> Fetcher:
    """The client for the LiveKit server: where it is, the operator himself has written."""
    policy = AddressPolicy(config.rtc.livekit_networks)
    return Fetcher(resolver, policy, user_agent=f"Watchword/{__version__}", plain_http=True)


def call_power_levels(config: Config) -> dict[str, int]:
    """What members need in new rooms to say that they are in a call: those who do not use sticky events say it by state."""
    if not (config.rtc.livekit_url or config.rtc.livekit_service_urls):
        return {}
    return {_CALL_STATE: config.rtc.member_power_level}


def call_settings(config: Config) -> CallSettings:
    """What calls need to know."""
    turn = config.turn
    return CallSettings(
        turn_uris=turn.uris,
        shared_secret=secret_of(turn.shared_secret, turn.shared_secret_file),
        user=turn.user,
        password=secret_of(turn.password, turn.password_file),
        lifetime_ms=turn.lifetime_ms,
        livekit_urls=config.rtc.livekit_service_urls,
        livekit=livekit_settings(config),
    )


def room_limits(config: Config) -> RoomLimits:
    """What rooms need to know."""
    return RoomLimits(
        config.rooms.default_version,
        config.sync.rooms_in_memory_max,
        config.sync.event_cache_max,
        retention_settings(config),
        config.rooms.forget_left,
        notice_settings(config).user_id,
    )


def notice_settings(config: Config) -> NoticeSettings:
    """What the server says to its users."""
    wanted = config.notices
    return NoticeSettings(
        None if wanted.localpart is None else UserId(f"@{wanted.localpart}:{config.server_name}"),
        wanted.display_name,
        wanted.avatar_url,
        wanted.room_name,
        wanted.room_topic,
        wanted.room_avatar_url,
        config.rooms.default_version,
    )


def retention_settings(config: Config) -> RetentionSettings:
    """How long messages are kept."""
    kept = config.retention
    return RetentionSettings(kept.enabled, kept.default_lifetime_ms, kept.lifetime_min_ms, kept.lifetime_max_ms)


def delay_settings(config: Config) -> DelaySettings:
    """What delayed events need to know."""
    return DelaySettings(config.delayed_events.delay_ms_max, config.delayed_events.scheduled_max)


def push_settings(config: Config) -> PushSettings:
    """What push needs to know."""
    wanted = config.push
    digests = DigestSettings(config.server_name, config.base_url, wanted.mail_delay_ms, wanted.mail_bodies)
    return PushSettings(
        predefined=predefined(encrypted_events=wanted.encrypted_events, replies=wanted.replies),
        digests=digests if wanted.mails else None,
    )


def policy_rooms(config: Config) -> Sequence[RoomId]:
    """The rooms of policy lists that hold for the whole server."""
    return [RoomId(room_id) for room_id in config.moderation.policy_rooms]


def media_settings(config: Config) -> MediaSettings:
    """What media needs to know."""
    return MediaSettings(
        upload_bytes_max=config.media.upload_bytes_max,
        remote_bytes_max=config.media.remote_bytes_max,
        pending_uploads_max=config.media.pending_uploads_max,
        frozen_since_ts=config.media.unauthenticated_before_ts,
        quota=Quota(config.media.quota_bytes_max, config.media.quota_bytes_per_day_max, config.media.quota_files_max),
        copies_kept_ms=config.media.remote_kept_ms,
        copies_bytes_max=config.media.remote_total_bytes_max,
        delete_with_event=config.media.delete_with_event,
    )


def preview_settings(config: Config) -> PreviewSettings:
    """How web pages are looked at."""
    wanted = config.url_previews
    return PreviewSettings(wanted.enabled, wanted.allow_hosts, wanted.deny_hosts, wanted.language, wanted.kept_ms)


def may_change_threepids(config: Config) -> bool:
    """Whether users can add addresses to their accounts."""
    wanted = threepid_settings(config)
    return wanted.changes and (wanted.email or wanted.msisdn)


def search_settings(config: Config, server_name: ServerName) -> SearchSettings:
    """What search needs to know."""
    return SearchSettings(server_name, config.people.all_found)


def discovery_settings(config: Config) -> DiscoverySettings:
    """What we say about ourselves."""
    contact, wanted = config.contact, config.delayed_events
    contacts = []
    if contact.admin_user_id is not None or contact.admin_email is not None:
        contacts.append(Contact("m.role.admin", contact.admin_user_id, contact.admin_email))
    if contact.security_email is not None:
        contacts.append(Contact("m.role.security", None, contact.security_email))
    return DiscoverySettings(
        client_base_url=(config.well_known.client_base_url or config.base_url),
        identity_base_url=config.well_known.identity_base_url,
        client_extra=_rtc_foci(config),
        server_delegation=config.well_known.server,
        policy_server_key=config.well_known.policy_server_key,
        forgets_rooms_left=config.rooms.forget_left,
        support_contacts=contacts,
        support_page=contact.support_page,
        unstable_features=unstable_features(config),
        may_change_password=config.registration.password_login,
        may_change_threepids=may_change_threepids(config),
        may_get_login_token=config.registration.login_tokens,
        default_room_version=config.rooms.default_version,
        url_previews=config.url_previews.enabled,
        reply_rule=config.push.replies,
        delayed_events=(wanted.delay_ms_max, wanted.scheduled_max) if wanted.enabled else None,
    )


def _rtc_foci(config: Config) -> dict[str, object]:
    # COMPAT(call clients that do not ask for rtc/transports, until 2028): they look here.
    found = [each for each in rtc_transports(call_settings(config)) if "livekit_service_url" in each]
    return {"org.matrix.msc4143.rtc_foci": found} if found else {}


UNSTABLE_FEATURES = {
    # Long specified, but still asked for by these names alone: Element on the web sets cross-signing up and verifies users
    # only with the first, Element classic on telephones shows threads and what is unread in them only with the others.
    "org.matrix.e2e_cross_signing": True,
    "org.matrix.msc3440.stable": True,
    "org.matrix.msc3771": True,
    "org.matrix.msc3773": True,
    "org.matrix.msc3026.busy_presence": True,
    "org.matrix.msc3391": True,
    "org.matrix.msc3814": True,
    "org.matrix.msc4222": True,
    "org.matrix.simplified_msc3575": True,
    "org.matrix.msc4354": True,
    "org.matrix.msc3916.stable": True,
    "com.beeper.msc4169": True,
    "com.beeper.msc4446": True,
    "org.matrix.msc3874": True,
    "org.matrix.msc3881": True,
    "org.matrix.msc3912": True,
    "org.matrix.msc4306": True,
    "org.matrix.msc4155": True,
    "org.matrix.msc4380": True,
    "org.matrix.msc4380.stable": True,
    "uk.half-shot.msc2666.query_mutual_rooms": True,
    "uk.tcpip.msc4133": True,
    "uk.tcpip.msc4133.stable": True,
    "net.zemos.msc4383": True,
    "uk.half-shot.msc2666.query_mutual_rooms.stable": True,
}
"""Flags of what is served under old names. Spec: client-server-api#get_matrixclientversions"""


def unstable_features(config: Config) -> dict[str, bool]:
    """Flags of what this server serves under old names, and beyond the specification."""
    optional = {
        "org.matrix.msc4028": config.push.encrypted_events,
        "org.matrix.msc4108": config.rendezvous.enabled,
        "org.matrix.msc4140": config.delayed_events.enabled,
        "org.matrix.msc4143": bool(config.rtc.livekit_service_urls or config.rtc.livekit_url),
    }
    return {**UNSTABLE_FEATURES, **{name: True for name, is_served in optional.items() if is_served}}
