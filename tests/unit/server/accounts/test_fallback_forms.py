"""Forms of the fallback pages: labelled, and escaped whatever the operator wrote."""

from watchword.server.accounts import fallback_forms as forms
from watchword.server.accounts.commands import CaptchaSettings, Policy, PolicyText

EVIL = '"><script>alert(1)</script>'


def test_forms_escape_what_they_show() -> None:
    policy = Policy("p", "1", {"en": PolicyText(EVIL, f"https://here.example/{EVIL}")})
    captcha = CaptchaSettings(EVIL, "secret", "https://x.example", EVIL)
    for html in (forms.form(EVIL, "", EVIL, {"sid": EVIL}), forms.terms([policy]), forms.captcha(captcha, "nonce")):
        assert "<script>alert" not in html
    assert "secret" not in forms.captcha(captcha, "nonce")


def test_every_field_has_a_label() -> None:
    for html in (forms.registration_token(), forms.password(asks_name=True), forms.email(), forms.phone(), forms.code()):
        assert html.count("<input") == html.count("<label")
    assert 'name="user"' not in forms.password(asks_name=False)
    assert "<button>" in forms.simple()
    assert "<button>" in forms.email_sent()
