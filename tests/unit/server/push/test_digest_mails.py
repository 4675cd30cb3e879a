import pytest

from watchword.protocol.ids import UserId
from watchword.server.push.commands import DigestSettings, Pusher, PusherForm, PusherKey
from watchword.server.push.digest_mails import DigestMails
from watchword.server.push.missed import Missed, MissedRoom, MissedText

FORM = PusherForm("email", "Mail", "Mail", "", "en", {})
PUSHER = Pusher(1, PusherKey(UserId("@bob:here.example"), "m.email", "Bob@There.example"), None, FORM, 0)
ROOM = MissedRoom("Tea & <cake>", 3, 1, (MissedText("Alice", "5 < 6"),))
LINK = "https://here.example/_watchword/client/v1/push/unsubscribe?token=a%2Fb"


def mails(base_url: str = "https://here.example/") -> DigestMails:
    return DigestMails(DigestSettings("here.example", base_url))


def test_a_mail_says_in_both_forms_how_much_is_unread_where() -> None:
    mail = mails().mail(PUSHER, "a/b", Missed((ROOM, MissedRoom("Other", 1, 0)), more=2, invites=1))
    assert mail.to == "bob@there.example"
    assert mail.subject == "4 unread messages at here.example"
    lines = mail.text.splitlines()
    assert lines[:6] == [
        "* Tea & <cake>: 3 unread, 1 of them for you",
        "    Alice: 5 < 6",
        "* Other: 1 unread",
        "* and 2 more rooms",
        "* 1 invitation waiting for your answer",
        "",
    ]
    assert mail.html is not None
    assert "<strong>Tea &amp; &lt;cake&gt;</strong>: 3 unread, 1 of them for you" in mail.html
    assert "Alice: 5 &lt; 6" in mail.html
    assert LINK in mail.text
    assert LINK in mail.html


@pytest.mark.parametrize(
    ("missed", "subject"),
    [
        (Missed((MissedRoom("A", 1, 0),)), "1 unread message at here.example"),
        (Missed(invites=2), "An invitation at here.example"),
    ],
)
def test_the_subject_names_nobody(missed: Missed, subject: str) -> None:
    assert mails().mail(PUSHER, "t", missed).subject == subject


def test_programs_may_end_the_mails_by_themselves_where_the_way_is_protected() -> None:
    headers = dict(mails().mail(PUSHER, "a/b", Missed((ROOM,))).headers)
    assert headers == {"List-Unsubscribe": f"<{LINK}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    assert "List-Unsubscribe-Post" not in dict(mails("http://localhost").mail(PUSHER, "t", Missed((ROOM,))).headers)
