"""Links to one dashboard for whoever has them: `/shared/<public id>_<secret>`.

The public id finds it, the whole of it proves it. Who opens one needs no session, sees that one dashboard, and chooses
nothing but the time and the variables that are not fixed.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

from domain import tokens
from domain.dashboards import VALUE_MAX_CHARS, Document
from domain.errors import InvalidBody
from domain.ids import ShareId
from domain.tokens import Entropy

TOKEN = re.compile(r"([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
OPEN_MAX = 50
"""How many links of an account may work at once."""
NOTE_MAX = 100
LASTS = {"1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30), "365": timedelta(days=365)}
"""What may be asked for, by days; nothing of it is until it is revoked."""

digest, matches = tokens.digest, tokens.matches


def make(entropy: Entropy = secrets.token_bytes) -> tuple[ShareId, str]:
    """A new link: its public id, and the whole text that it ends in, shown once."""
    share_id = ShareId(entropy(8).hex())
    return share_id, f"{share_id}_{tokens.make(entropy)}"


def public_id(token: str) -> ShareId | None:
    """The public id in a link's text; None when the text has not the form of one."""
    found = TOKEN.fullmatch(token)
    return ShareId(found[1]) if found else None


def clean_note(note: str) -> str:
    """What reminds people of whom the link is for: one line, trimmed, perhaps empty; raises InvalidBody."""
    cleaned = " ".join(note.split())
    if len(cleaned) > NOTE_MAX or (cleaned and not cleaned.isprintable()):
        raise InvalidBody(f"A note has at most {NOTE_MAX} printable characters")
    return cleaned


def lasts(days: str) -> timedelta | None:
    """How long a link is to work; None is until it is revoked. Raises InvalidBody."""
    if days and days not in LASTS:
        raise InvalidBody(f"A link works for {', '.join(LASTS)} days, or until it is revoked")
    return LASTS.get(days)


def fixed(document: Document, pairs: Sequence[str]) -> dict[str, str]:
    """`node=web-1` for each variable that a link's readers cannot change; raises InvalidBody."""
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    unknown = found.keys() - {one.name for one in document.variables}
    if unknown or len(found) < len(pairs):
        raise InvalidBody("A variable that is to stay as it is must be one of the dashboard's, with its value")
    if any(len(value) > VALUE_MAX_CHARS for value in found.values()):
        raise InvalidBody(f"A variable's value has at most {VALUE_MAX_CHARS} characters")
    return found
