"""Links in e-mails that work without signing in: they carry, signed, which channel's address they are about."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

SECRET: Final = "mail-links"  # noqa: S105
"""The name of the server secret that signs them."""
CONFIRM_LASTS_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A channel, and the address that it had when the link was made."""

    channel_id: UUID
    address: str


def confirm_token(key: bytes, mailbox: Mailbox) -> str:
    """For the question whether an address wants to be told, for a week."""
    return str(_confirming(key).dumps([str(mailbox.channel_id), mailbox.address]))


def stop_token(key: bytes, mailbox: Mailbox) -> str:
    """For a way out of being told, in every e-mail and for good."""
    return str(_stopping(key).dumps([str(mailbox.channel_id), mailbox.address]))


def read_confirm(key: bytes, token: str) -> Mailbox | None:
    """None for what we did not sign, or too long ago."""
    try:
        return _mailbox(_confirming(key).loads(token, max_age=CONFIRM_LASTS_S))
    except BadData:
        return None


def read_stop(key: bytes, token: str) -> Mailbox | None:
    """None for what we did not sign."""
    try:
        return _mailbox(_stopping(key).loads(token))
    except BadData:
        return None


def _confirming(key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="metrist.mail.confirm")


def _stopping(key: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="metrist.mail.stop")


def _mailbox(value: list[str]) -> Mailbox:
    channel_id, address = value
    return Mailbox(UUID(channel_id), address)
