"""What is written to people."""

import pytest

from watchword.server.accounts.threepids.messages import Message, Messages

WRITER = Messages("here.example")


@pytest.mark.parametrize("message", list(Message))
def test_every_mail_has_a_subject_and_both_forms(message: Message) -> None:
    mail = WRITER.mail(message, "bob@there.example", link="https://here.example/x?a=1&b=2", hours=24)
    assert mail.to == "bob@there.example"
    assert "here.example" in mail.subject
    assert "here.example" in mail.text
    assert mail.html is not None
    assert mail.html.startswith("<!doctype html>")


def test_only_mails_that_prove_something_hold_a_link() -> None:
    link = "https://here.example/x?a=1&b=2"
    for message in Message:
        mail = WRITER.mail(message, "bob@there.example", link=link, hours=24)
        holds = message in (Message.PROVE, Message.RESET)
        assert (link in mail.text) is holds
        assert mail.html is not None
        assert ("a=1&amp;b=2" in mail.html) is holds


def test_text_messages_begin_with_the_code() -> None:
    assert WRITER.text(Message.PROVE, code="123456").startswith("123456 ")
    assert WRITER.text(Message.RESET, code="123456").startswith("123456 ")
    assert "123456" not in WRITER.text(Message.IN_USE, code="123456")
    assert "number" in WRITER.text(Message.UNKNOWN)
