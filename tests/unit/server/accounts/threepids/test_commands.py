"""What settings say of a kind of address."""

from watchword.server.accounts.threepids.commands import ThreepidSettings, Wanted


def test_only_what_can_be_sent_can_be_asked_for() -> None:
    settings = ThreepidSettings(email=True, email_at_registration=Wanted.OPTIONAL, msisdn_at_registration=Wanted.REQUIRED)
    assert [settings.sends_to(medium) for medium in ("email", "msisdn", "pigeon")] == [True, False, False]
    assert settings.at_registration("email") is Wanted.OPTIONAL
    assert settings.at_registration("msisdn") is Wanted.OFF
    assert ThreepidSettings(msisdn=True, msisdn_at_registration=Wanted.REQUIRED).at_registration("msisdn") is Wanted.REQUIRED
