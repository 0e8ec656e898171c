"""Invitations: a link `/invite/<public id>_<secret>`; the public id finds it, the whole of it proves it."""

import re
import secrets
from datetime import timedelta

from domain import tokens
from domain.errors import InvalidBody
from domain.ids import InvitationId
from domain.tokens import Entropy

TOKEN = re.compile(r"([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
LASTS = timedelta(days=7)
OPEN_MAX = 100
"""How many invitations of an account may wait to be accepted."""
NOTE_MAX = 100

digest, matches = tokens.digest, tokens.matches


def make(entropy: Entropy = secrets.token_bytes) -> tuple[InvitationId, str]:
    """A new invitation: its public id, and the whole text that its link ends in, shown once."""
    invitation_id = InvitationId(entropy(8).hex())
    return invitation_id, f"{invitation_id}_{tokens.make(entropy)}"


def public_id(token: str) -> InvitationId | None:
    """The public id in a link's text; None when the text has not the form of one."""
    found = TOKEN.fullmatch(token)
    return InvitationId(found[1]) if found else None


def clean_note(note: str) -> str:
    """What reminds the sender of whom they invited: one line, trimmed, perhaps empty; raises InvalidBody."""
    cleaned = " ".join(note.split())
    if len(cleaned) > NOTE_MAX or not cleaned.isprintable():
        raise InvalidBody(f"A note has at most {NOTE_MAX} printable characters")
    return cleaned
