"""Accounts, the people in them, and what a role is."""

from enum import StrEnum

from domain.errors import InvalidBody

NAME_MAX = 100
EMAIL_MAX = 254
DEREGISTER_MOST_S = 30 * 86_400
"""The longest that an account may keep silent nodes."""


class Role(StrEnum):
    """What a user is to an account."""

    OWNER = "owner"
    ADMIN = "admin"
    VIEWER = "viewer"


def clean_name(name: str) -> str:
    """A name for people, of an account or a key: one line, trimmed; raises InvalidBody."""
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > NAME_MAX or not cleaned.isprintable():
        raise InvalidBody(f"A name has 1 to {NAME_MAX} printable characters")
    return cleaned


def clean_email(email: str) -> str:
    """An address as we compare it: trimmed, lower case; raises InvalidBody.

    Lower case throughout: no provider in use tells two mailboxes apart by case, and people type both.
    """
    cleaned = email.strip().lower()
    local, at, host = cleaned.rpartition("@")
    if not (local and at and host) or len(cleaned) > EMAIL_MAX or not cleaned.isprintable() or " " in cleaned:
        raise InvalidBody("An e-mail address looks like name@example.org")
    return cleaned


def called(name: str | None, email: str | None) -> str:
    """What to call a person on a page: their name, else their address, else nothing that tells who they are."""
    return name or email or "someone"


def check_deregister_after(after_s: int, offline_after_s: int) -> None:
    """Raises InvalidBody unless silent nodes may be given up after so long: offline first, and within a month."""
    if after_s < offline_after_s:
        raise InvalidBody(f"A node is offline after {offline_after_s} s; it can be deregistered then, not before")
    if after_s > DEREGISTER_MOST_S:
        raise InvalidBody(f"Silent nodes are deregistered after {DEREGISTER_MOST_S // 86_400} days at the latest")
