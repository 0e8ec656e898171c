"""API keys: `mtr_<public id>_<secret>`; the public id finds the key, the whole of it proves it."""

import re
import secrets
from collections.abc import Iterable
from enum import StrEnum

from domain import tokens
from domain.errors import InvalidBody
from domain.ids import KeyId
from domain.tokens import Entropy

KEY = re.compile(r"mtr_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")

digest, matches = tokens.digest, tokens.matches


class Scope(StrEnum):
    """What a key may do."""

    INGEST = "ingest"
    READ = "read"
    MANAGE = "manage"


def make(entropy: Entropy = secrets.token_bytes) -> tuple[KeyId, str]:
    """A new key: its public id, and the whole text that is shown once."""
    key_id = KeyId(entropy(8).hex())
    return key_id, f"mtr_{key_id}_{tokens.make(entropy)}"


def public_id(key: str) -> KeyId | None:
    """The public id of a key's text; None when the text has not the form of a key."""
    found = KEY.fullmatch(key)
    return KeyId(found[1]) if found else None


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes by their names; raises InvalidBody for none at all and for one that does not exist."""
    asked = set(names)
    if not asked or not asked <= set(Scope):
        raise InvalidBody(f"A key needs one or more of the scopes {', '.join(sorted(Scope))}; got: {sorted(asked)}")
    return frozenset(Scope(name) for name in asked)
