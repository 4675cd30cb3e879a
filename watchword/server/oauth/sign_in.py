"""Who comes to our pages: by name and password, or as a newcomer with an invitation."""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base.entropy import Entropy
from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import Account, CreateAccount, PolicyText, Refused, RegistrationMode
from watchword.server.accounts.decide import registration_flows
from watchword.server.accounts.registration import Registration
from watchword.server.oauth.decide import NewcomerRules, newcomer_rules

_WRONG = "The user name or the password is wrong."


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What somebody without an account asks for. password None: he will come by another way."""

    username: str
    password: str | None
    invitation: str
    display_name: str = ""
    has_agreed: bool = False


@dataclass(frozen=True)
class SignIn:
    """Proves who somebody is, and makes accounts."""

    accounts: Accounts
    entropy: Entropy

    @property
    def has_passwords(self) -> bool:
        """Whether a password signs in."""
        return self.accounts.settings.password_login

    @property
    def rules(self) -> NewcomerRules | None:
        """What our page asks of newcomers; None if none can register there."""
        flows = registration_flows(self.accounts.settings)
        return None if isinstance(flows, Refused) or not self.has_passwords else newcomer_rules(flows)

    @property
    def takes_newcomers(self) -> bool:
        """Whether our page makes accounts."""
        return self.rules is not None

    @property
    def policies(self) -> Sequence[PolicyText]:
        """What newcomers agree to."""
        return [next(iter(policy.texts.values())) for policy in self.accounts.settings.policies if policy.texts]

    async def by_password(self, request: Request, name: str, password: str) -> Account:
        """The account of a name and its password. Raises Forbidden with a sentence to show, LimitExceeded."""
        if not self.has_passwords:
            raise Forbidden("This server has no passwords.")
        check, name = self.accounts.logins.password_check, name.strip()
        identifier = {"type": "m.id.user", "user": name}
        if "@" in name[1:] and not name.startswith("@"):
            identifier = {"type": "m.id.thirdparty", "medium": "email", "address": name}
        user_id = await check.named({"identifier": identifier})
        account = None if isinstance(user_id, Refused) else await check.account(request, user_id, password)
        if account is None:
            raise Forbidden(_WRONG)
        return require_open(account)

    async def is_password(self, request: Request, account: Account, password: str) -> bool:
        """Whether this is the password of somebody who is signed in. Raises LimitExceeded."""
        return await self.accounts.logins.password_check.account(request, account.user_id, password) is not None

    async def register(self, newcomer: Newcomer, mode: RegistrationMode) -> Account:
        """Make an account. mode: who may have one. Raises Refusal with a sentence to show."""
        registrar, invitations, settings = self.accounts.registrar, self.accounts.invitations, self.accounts.settings
        if mode is RegistrationMode.CLOSED:
            raise Forbidden("This server does not take registrations.")
        if settings.policies and not newcomer.has_agreed:
            raise Forbidden("Please agree to the terms of this server.")
        user_id = await registrar.check_name(newcomer.username.strip())
        if newcomer.password is not None:
            registrar.check_password(newcomer.password)
        attempt, invitation_id = self.entropy.token(18), None
        if newcomer.invitation.strip() or mode is RegistrationMode.INVITATION:
            invitation_id = await invitations.reserve(newcomer.invitation.strip(), attempt)
            if invitation_id is None:
                raise Forbidden("This invitation is not valid. It may have been used, or have expired.")
        try:
            password = newcomer.password
            password_hash = None if password is None else await self.accounts.passwords.hash(password)
            wish = Registration(newcomer.username, None, None, None, wants_login=False, refreshable=False)
            policies = [(policy.policy_id, policy.version) for policy in settings.policies]
            command = CreateAccount(user_id, password_hash, invitation_id=invitation_id, policies=policies)
            await registrar.create(command, wish)
        finally:
            if invitation_id is not None:
                invitations.release(invitation_id, attempt)
        account = await self.accounts.reader.account(user_id)
        assert account is not None
        if newcomer.display_name.strip():
            await self.set_display_name(account, newcomer.display_name)
        return account

    async def set_display_name(self, account: Account, name: str) -> None:
        """Change what others see of somebody; "" takes it away. Raises Refusal with a sentence to show."""
        requester = Requester(account.user_id, None, 0, kind=Kind.OAUTH, is_suspended=account.is_suspended)
        profiles, name = self.accounts.profiles, name.strip()
        if name:
            await profiles.set_field(requester, account.user_id, "displayname", name)
        else:
            await profiles.delete_field(requester, account.user_id, "displayname")


def require_open(account: Account) -> Account:
    """The same account. Raises Forbidden if it is closed or locked."""
    if account.is_deactivated:
        raise Forbidden("This account was deactivated.")
    if account.is_locked:
        raise Forbidden("This account is locked. The administrators of this server can say why.")
    return account
