"""What a claim says as an e-mail: text, HTML with a picture, and a way out."""

from datetime import datetime
from email.message import EmailMessage
from functools import cache
from typing import TYPE_CHECKING

from domain import mail_links, mails
from domain.deliveries import Kind
from domain.mail_links import Mailbox
from domain.mails import Letter
from domain.webhooks import Message, condition_url, headline, sentence
from schema import accounts, server_secrets
from schema.outbox import Claim
from workers.graphs import Picture, picture_of
from workers.stores import Stores

if TYPE_CHECKING:
    from jinja2 import Template


def write(stores: Stores, claimed: Claim, message: Message, now: datetime) -> EmailMessage:
    """The e-mail of a claim. Raises StoreUnavailable."""
    letter = _letter(stores, claimed, message, now)
    threads = mails.threads_of(message) if claimed.kind not in (Kind.VERIFY, Kind.DISABLED) else ()
    return mails.compose(letter, message, stores.settings.smtp_from, threads=threads)


def _letter(stores: Stores, claimed: Claim, message: Message, now: datetime) -> Letter:
    match claimed.kind:
        case Kind.VERIFY:
            return _question(stores, claimed, message, now)
        case Kind.DISABLED:
            subject, text = mails.farewell(claimed.channel.name, claimed.channel.disabled_reason, message.base_url)
            return _plain(claimed.recipient, subject, text, message)
        case _:
            return _notices(stores, claimed, message, now)


def _notices(stores: Stores, claimed: Claim, message: Message, now: datetime) -> Letter:
    address = str(claimed.channel.config["address"])
    stop = mail_links.stop_token(_key(stores, now), Mailbox(claimed.channel.id, address))
    stop_url = f"{message.base_url}/mail/stop/{stop}"
    found = picture_of(stores, claimed.account_id, message.notices[0], now) if message.notices else None
    html = _render(message, stop_url=stop_url, picture=found)
    text = mails.plain_text(message, stop_url)
    return Letter(address, mails.subject(message), text, html, stop_url, found.png if found else None)


def _question(stores: Stores, claimed: Claim, message: Message, now: datetime) -> Letter:
    address = str(claimed.channel.config["address"])
    token = mail_links.confirm_token(_key(stores, now), Mailbox(claimed.channel.id, address))
    account = accounts.find(stores.control, claimed.account_id)
    url = f"{message.base_url}/mail/confirm/{token}"
    name = account.name if account else "of theirs"
    subject, text = mails.question(claimed.channel.name, name, message.base_url, url)
    return _plain(address, subject, text, message)


def _plain(to: str, subject: str, text: str, message: Message) -> Letter:
    return Letter(to, subject, text, _render(message, title=subject, text=text))


def _render(
    message: Message, *, title: str = "", text: str = "", stop_url: str = "", picture: Picture | None = None
) -> str:
    return _template().render(
        headline=title or headline(message),
        notices=() if text else message.notices,
        text=text,
        picture={"cid": mails.PICTURE_ID, "alt": picture.words} if picture else None,
        stop_url=stop_url,
        base_url=message.base_url,
        sentence=sentence,
        instant=mails.instant,
        url=lambda notice: condition_url(notice, message.base_url),
    )


def _key(stores: Stores, now: datetime) -> bytes:
    return server_secrets.get_or_create(stores.control, mail_links.SECRET, now)


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # 3 MB, for who writes letters

    environment = Environment(loader=PackageLoader("workers"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("notice.html")
