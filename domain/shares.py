"""Links to one dashboard for whoever has them: `/shared/<public id>_<secret>`.

The public id finds it, the whole of it proves it. Who opens one needs no session, sees that one dashboard, and chooses
nothing but the time and the variables that are not fixed.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import parse_qs

from domain import tokens
from domain.dashboards import Document, Value, as_value
from domain.errors import InvalidBody, InvalidQuery
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


def fixed(document: Document, given: Sequence[str]) -> dict[str, Value]:
    """What a link's readers cannot change, from `node=web-1` for each variable; raises InvalidBody.

    Written as in an address, so that one with several values is `node=web-1&node=web-2`.
    """
    found = {name: texts for one in given for name, texts in parse_qs(one, keep_blank_values=True).items()}
    if found.keys() - {one.name for one in document.variables} or len(found) < len(given):
        raise InvalidBody("A variable that is to stay as it is must be one of the dashboard's, with its value")
    try:
        return {name: as_value(texts) for name, texts in found.items()}
    except InvalidQuery as error:
        raise InvalidBody(error.detail) from error
