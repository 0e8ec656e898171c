"""E-mails: headers that keep an incident in one thread and let people out, and the parts that mail programs expect."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from domain.deliveries import Kind, Notice
from domain.webhooks import Message, condition_url, headline, sentence

THREADS_MAX: Final = 20
"""Incidents of one group that an e-mail is filed under; header lines stay of a length that servers take."""
PICTURE_ID: Final = "graph@metrist"
SUBJECT_MAX: Final = 150


@dataclass(frozen=True, slots=True)
class Letter:
    """What an e-mail says.

    stop_url  where its reader says that they want no more; empty for what is sent once
    picture   a PNG, which the HTML shows as `cid:` PICTURE_ID
    """

    to: str
    subject: str
    text: str
    html: str
    stop_url: str = ""
    picture: bytes | None = None


def compose(letter: Letter, message: Message, sender: str, *, threads: tuple[str, ...] = ()) -> EmailMessage:
    """The e-mail. Its Message-ID is the message's, so a mailbox that gets it twice shows it once.

    threads  of the incidents that it tells of: each is a message that was never sent and that all of its e-mails
             answer, so that whichever comes first, all are filed together
    """
    host = urlsplit(message.base_url).hostname or "localhost"
    mail = EmailMessage(policy=SMTP)
    name, address = parseaddr(sender)
    mail["From"] = Address(_line(name), addr_spec=address)
    mail["To"] = Address(addr_spec=letter.to)
    mail["Subject"] = _line(letter.subject)[:SUBJECT_MAX]
    mail["Date"] = format_datetime(message.at.astimezone(UTC))
    mail["Message-ID"] = f"<{message.id.hex}@{host}>"
    roots = [f"<incident.{thread[:32]}@{host}>" for thread in threads[:THREADS_MAX]]
    if roots:
        mail["In-Reply-To"] = roots[0]
        mail["References"] = " ".join(roots)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if letter.stop_url:
        mail["List-Unsubscribe"] = f"<{letter.stop_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(letter.text)
    mail.add_alternative(letter.html, subtype="html")
    if letter.picture:
        html = mail.get_payload()[1]  # type: ignore[index]
        html.add_related(letter.picture, "image", "png", cid=f"<{PICTURE_ID}>", disposition="inline")  # type: ignore[union-attr]
    return mail


def subject(message: Message) -> str:
    """The same for all that is told of an incident, since some mailboxes file by it; what happened stands inside."""
    if message.kind not in (Kind.FIRING, Kind.RESOLVED, Kind.REPEAT):
        return headline(message)
    first = message.notices[0]
    same = all(notice.condition == first.condition for notice in message.notices)
    if len(message.notices) > 1:
        return first.condition if same else "Several conditions"
    whose = ", ".join(f"{name} {value}" for name, value in sorted(first.labels.items()))
    return f"{first.condition} ({whose})" if whose else first.condition


def threads_of(message: Message) -> tuple[str, ...]:
    """The incidents that it tells of, in order, each once."""
    return tuple(dict.fromkeys(notice.thread for notice in message.notices))


def plain_text(message: Message, stop_url: str) -> str:
    """The e-mail for who reads text."""
    parts = [headline(message), ""]
    for notice in message.notices:
        parts += [sentence(notice), *(f"  {line}" for line in _facts(notice, message)), ""]
    parts += ["-- ", f"Metrist, {message.base_url}"]
    parts += [f"No more e-mails from this channel: {stop_url}"] if stop_url else []
    return "\n".join(parts) + "\n"


def _facts(notice: Notice, message: Message) -> list[str]:
    found = [f"{notice.severity}, since {instant(notice.began_at)}"]
    found += [f"Recording: {notice.recording}"] if notice.recording else []
    found += [f"Runbook: {notice.runbook}"] if notice.runbook else []
    return [*found, f"Why: {condition_url(notice, message.base_url)}"]


def instant(at: datetime) -> str:
    """For people, wherever they are."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def question(channel: str, account: str, base_url: str, url: str) -> tuple[str, str]:
    """Subject and text of the question whether an address wants to be told."""
    text = (
        f"Somebody at {base_url} wants to send notices of the account {account} to this address,\n"
        f"by a channel called {channel}.\n\n"
        f"If you want them, open this link and confirm it; it works for a week:\n\n  {url}\n\n"
        "If you do not, or do not know what this is, do nothing: you will get no notices.\n"
    )
    return "Confirm this address for notices", text


def farewell(channel: str, reason: str, base_url: str) -> tuple[str, str]:
    """Subject and text of the news that a channel was turned off."""
    text = (
        f"The channel {channel} was turned off: {reason}.\n\n"
        "Notices are no longer sent there. Correct its address and turn it on again, or delete it:\n\n"
        f"  {base_url}/channels\n"
    )
    return f"The channel {channel} was turned off", text


def _line(text: str) -> str:
    """One line, so that no name adds a header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def message_of(message_id: UUID, base_url: str, channel: str, at: datetime, kind: Kind) -> Message:
    """A message that tells of no status."""
    return Message(message_id, kind, channel, at, (), (), {}, "", base_url)
