"""E-mails as mailboxes see them: threads, a way out, and no header that a name could add."""

import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.policy import SMTP
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import mail_links, mails, pictures
from domain.deliveries import Kind, Notice
from domain.mail_links import Mailbox
from domain.mails import Letter, compose
from domain.webhooks import Message
from tests.notices import NOW, a_fire, its_end
from workers.mail import parse_server

FIRE = a_fire()
SENDER = "Metrist <metrist@example.org>"


def message(*notices: Notice, kind: Kind = Kind.FIRING) -> Message:
    ids = [uuid4() for _ in notices]
    return Message(uuid4(), kind, "ops", NOW, ids, notices, {}, "", "https://metrist.example.org:8443")


def letter(about: Message, **more: object) -> Letter:
    told = {"to": "ops@example.org", "subject": mails.subject(about), "text": "text", "html": "<p>html"}
    return Letter(**told | more)  # type: ignore[arg-type]


def test_an_incident_is_one_thread_with_one_subject() -> None:
    first, last = message(FIRE), message(its_end(FIRE))
    one, other = (compose(letter(about), about, SENDER, threads=mails.threads_of(about)) for about in (first, last))
    assert one["References"] == other["References"] and one["In-Reply-To"] == one["References"]
    assert one["Subject"] == other["Subject"] == "CPU (node web-1)"
    assert one["Message-ID"] == f"<{first.id.hex}@metrist.example.org>" != other["Message-ID"]
    another = message(replace(FIRE, began_at=NOW + timedelta(hours=1)))
    assert (
        compose(letter(another), another, SENDER, threads=mails.threads_of(another))["References"] != one["References"]
    )


def test_a_group_is_filed_under_each_of_its_incidents() -> None:
    about = message(*(replace(FIRE, stream=f"status/c/{n}") for n in range(30)))
    mail = compose(letter(about), about, SENDER, threads=mails.threads_of(about))
    assert mail["References"].count("<incident.") == mails.THREADS_MAX
    assert mail["Subject"] == "CPU"
    assert max(len(line) for line in mail.as_bytes(policy=SMTP).split(b"\r\n")) < 998


def test_there_is_a_way_out_by_one_click() -> None:
    about = message(FIRE)
    mail = compose(letter(about, stop_url="https://metrist.example.org/mail/stop/x"), about, SENDER)
    assert mail["List-Unsubscribe"] == "<https://metrist.example.org/mail/stop/x>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"


@given(st.text(), st.text())
def test_no_name_adds_a_header(condition: str, node: str) -> None:
    about = message(replace(FIRE, condition=f"x{condition}", labels={"node": node}))
    mail = compose(letter(about), about, SENDER)
    raw = mail.as_bytes(policy=SMTP)
    names = [line.split(b":")[0] for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n") if not line.startswith(b" ")]
    assert set(names) == {
        *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"X-Auto-Response-Suppress"),
        *(b"MIME-Version", b"Content-Type"),
    }


def test_a_picture_stands_in_the_html() -> None:
    about = message(FIRE)
    mail = compose(letter(about, picture=b"\x89PNG"), about, SENDER)
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    (picture,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert picture["Content-ID"] == "<graph@metrist>"


def test_the_text_tells_all_of_it() -> None:
    about = message(replace(FIRE, runbook="https://wiki.example.org"), its_end(FIRE))
    text = mails.plain_text(about, "https://stop")
    for part in (
        "CPU: 1 firing, 1 over",
        "93 % is above 90 %",
        "https://wiki.example.org",
        "after 1 min",
        "https://stop",
    ):
        assert part in text


KEY, BOX = b"k" * 32, Mailbox(UUID(int=1), "ops@example.org")


def test_links_are_ours_or_nothing() -> None:
    confirm, stop = mail_links.confirm_token(KEY, BOX), mail_links.stop_token(KEY, BOX)
    assert mail_links.read_confirm(KEY, confirm) == BOX == mail_links.read_stop(KEY, stop)
    assert mail_links.read_confirm(KEY, stop) is None and mail_links.read_stop(KEY, confirm) is None
    assert mail_links.read_stop(b"other" * 8, stop) is None
    for text in ("", "x", stop[:-1], stop.replace(".", "")):
        assert mail_links.read_stop(KEY, text) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, "starttls", "", "")),
        ("smtps://u%40x:p%2Fw@mail.example.org", ("mail.example.org", 465, "tls", "u@x", "p/w")),
        ("smtp://127.0.0.1:2525?tls=none", ("127.0.0.1", 2525, "none", "", "")),
    ],
)
def test_the_server_is_read_from_its_address(url: str, expected: tuple[object, ...]) -> None:
    found = parse_server(url)
    assert (found.host, found.port, found.tls, found.user, found.password) == expected
    assert "p/w" not in repr(found)
    with pytest.raises(ValueError, match="METRIST_SMTP_URL"):
        parse_server("http://mail.example.org")


VALUES = st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), max_size=40)


@given(VALUES, st.one_of(st.none(), st.floats(-1e12, 1e12)))
def test_a_picture_is_a_png(values: list[float | None], threshold: float | None) -> None:
    png = pictures.draw(values, threshold)
    if png is None:
        assert len([value for value in values if value is not None]) < 2
        return
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (pictures.WIDTH, pictures.HEIGHT)
    at, kinds, data = 8, [], b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + content),)
        kinds.append(kind)
        data += content if kind == b"IDAT" else b""
        at += 12 + size
    assert kinds == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert len(zlib.decompress(data)) == pictures.HEIGHT * (pictures.WIDTH + 1)


def test_times_are_said_in_utc() -> None:
    assert mails.instant(datetime(2026, 1, 5, 12, tzinfo=UTC)) == "2026-01-05 12:00:00 UTC"
