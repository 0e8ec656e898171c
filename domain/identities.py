"""Who a provider says somebody is."""

import hashlib
from dataclasses import dataclass

from domain.accounts import NAME_MAX, clean_email
from domain.errors import InvalidBody

LOGIN_MAX = 100


@dataclass(frozen=True, slots=True)
class Profile:
    """A person as their provider has proved them.

    provider  ours: github, oidc
    issuer    whose ids these are: the provider's address
    subject   the id that never changes and is never given to another; a login or an address is neither
    email     only one that the provider has verified
    """

    provider: str
    issuer: str
    subject: str
    login: str
    name: str | None = None
    email: str | None = None

    @property
    def stream(self) -> str:
        """The history of this identity; a hash, since a provider's ids may be of any length and alphabet."""
        subject_sha256 = hashlib.sha256(f"{self.issuer}\n{self.subject}".encode()).hexdigest()
        return f"identity/{self.provider}/{subject_sha256}"

    @property
    def called(self) -> str:
        """What to call them, and their first account."""
        return self.name or self.login


def profile(
    provider: str, issuer: str, subject: str, login: str | None, name: str | None, verified_email: str | None
) -> Profile:
    """A profile of what a provider told, which may be any text: made fit to be shown and kept."""
    shown = _fit(login, LOGIN_MAX) or _fit(subject, LOGIN_MAX) or provider
    return Profile(provider, issuer, subject, shown, _fit(name, NAME_MAX), _address(verified_email))


def _fit(text: str | None, longest: int) -> str | None:
    """One line of printable characters; None when nothing is left."""
    line = " ".join((text or "").split())
    return "".join(char for char in line if char.isprintable())[:longest].strip() or None


def _address(email: str | None) -> str | None:
    try:
        return clean_email(email or "")
    except InvalidBody:
        return None
