"""What an operator set up outside of Matrix: a mail relay, a gateway for text messages, identity servers, a captcha.

Each is built only where it is configured: an HTTP client with its certificates costs memory that most servers need not spend.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword import __version__
from watchword.base.clock import Clock
from watchword.base.config import Config, secret_of
from watchword.base.entropy import Entropy
from watchword.edge.addresses import EVERYWHERE, AddressPolicy
from watchword.edge.dns import Resolver
from watchword.edge.fetch import Fetcher
from watchword.edge.mail import Mailer, MailSettings, TlsMode
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey
from watchword.server.accounts.assembly import OutsideServices
from watchword.server.accounts.captcha import Captcha
from watchword.server.accounts.commands import AccountSettings, CaptchaSettings, Policy, PolicyText
from watchword.server.accounts.threepids.commands import ThreepidSettings, Wanted
from watchword.server.accounts.threepids.identity import IdentityServers
from watchword.server.accounts.threepids.sms import SmsGateway
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix

_AGENT = f"Watchword/{__version__}"


@dataclass(frozen=True)
class Outside:
    """The services, and what keeps them going. mailer: None where no mail is sent."""

    services: OutsideServices
    mailer: Mailer | None
    fetchers: Sequence[Fetcher]

    async def close(self) -> None:
        """Close every connection."""
        for fetcher in self.fetchers:
            await fetcher.close()


@dataclass(frozen=True, slots=True)
class OwnSignature:
    """Fits `RequestSigner`: this server's signature on its requests to identity servers."""

    server_name: ServerName
    key: SigningKey

    def authorization(self, method: str, uri: str, destination: str, content: bytes) -> str:
        """The header. Spec: server-server-api#request-authentication"""
        to = ServerName(destination)
        signature = self.key.sign(SignedRequest(method, uri, self.server_name, to, content).signed_bytes())
        return format_x_matrix(XMatrix(self.server_name, self.key.key_id, signature, to))


def outside_services(
    config: Config, accounts: AccountSettings, resolver: Resolver, clock: Clock, entropy: Entropy, key: SigningKey
) -> Outside:
    """Build what is configured."""
    wanted = config.threepids
    mailer = _mailer(config, clock, entropy)
    fetchers: list[Fetcher] = []
    texts: SmsGateway | None = None
    captcha: Captcha | None = None
    identity = IdentityServers()
    if wanted.sms_url is not None or accounts.captcha is not None:
        # The operator wrote these addresses down himself.
        anywhere = Fetcher(resolver, EVERYWHERE, user_agent=_AGENT, plain_http=True)
        fetchers.append(anywhere)
        if wanted.sms_url is not None:
            texts = SmsGateway(anywhere, wanted.sms_url, secret_of(wanted.sms_token, wanted.sms_token_file))
        if accounts.captcha is not None:
            captcha = Captcha(anywhere, accounts.captcha)
    if wanted.identity_servers:
        identity = IdentityServers(
            fetcher=_identity_fetcher(config, resolver),
            signer=OwnSignature(accounts.server_name, key),
            trusted=wanted.identity_servers,
            code_server=wanted.code_server,
            code_token=secret_of(wanted.code_token, wanted.code_token_file),
        )
        assert identity.fetcher is not None
        fetchers.append(identity.fetcher)
    return Outside(OutsideServices(mailer, texts, identity, captcha), mailer, fetchers)


def _identity_fetcher(config: Config, resolver: Resolver) -> Fetcher:
    urls = config.threepids.identity_servers.values()
    return Fetcher(
        resolver,
        AddressPolicy(config.threepids.identity_allowed_networks),
        user_agent=_AGENT,
        plain_http=any(url.startswith("http:") for url in urls),
    )


def _mailer(config: Config, clock: Clock, entropy: Entropy) -> Mailer | None:
    mail = config.mail
    if mail.host is None:
        return None
    assert mail.sender is not None, "the configuration was checked"
    settings = MailSettings(
        host=mail.host,
        sender=mail.sender,
        local_name=config.server_name.partition(":")[0],
        tls=TlsMode(mail.tls),
        port=mail.port,
        user=mail.user,
        password=secret_of(mail.password, mail.password_file),
        verify_certificates=mail.verify_certificates,
        extra_ca_file=mail.extra_ca_file,
    )
    return Mailer(settings, clock, entropy)


# The settings of accounts that belong to these services


def threepid_settings(config: Config) -> ThreepidSettings:
    """What may be proved, and how."""
    wanted = config.threepids
    return ThreepidSettings(
        email=config.mail.host is not None,
        msisdn=wanted.sms_url is not None or wanted.code_server is not None,
        changes=wanted.changes,
        email_at_registration=Wanted(wanted.email_at_registration),
        msisdn_at_registration=Wanted(wanted.msisdn_at_registration),
        email_allowed=wanted.email_allowed,
        msisdn_allowed=wanted.msisdn_allowed,
        next_link_hosts=frozenset((*wanted.next_link_hosts, _host_of(config.base_url))),
        identity_servers=wanted.identity_servers,
    )


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


def captcha_settings(config: Config) -> CaptchaSettings | None:
    """The captcha; None where there is none."""
    wanted = config.captcha
    if wanted.site_key is None:
        return None
    secret = secret_of(wanted.secret, wanted.secret_file) or ""
    return CaptchaSettings(wanted.site_key, secret, wanted.verify_url, wanted.script_url, wanted.css_class)


def policies(config: Config) -> Sequence[Policy]:
    """The policies with all their languages."""
    texts: dict[tuple[str, str], dict[str, PolicyText]] = {}
    for document in config.policies:
        texts.setdefault((document.id, document.version), {})[document.language] = PolicyText(document.name, document.url)
    return [Policy(policy_id, version, languages) for (policy_id, version), languages in texts.items()]
