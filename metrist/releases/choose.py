"""Which release comes next. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from packaging.version import InvalidVersion, Version

from metrist.releases.errors import ReleaseUntrusted, UpgradeRefused
from metrist.releases.release import Release, parse
from metrist.releases.signing import verify


@dataclass(frozen=True)
class Offer:
    """What an index has.

    releases  those that somebody we trust has signed
    refused   version as it calls itself → why we do not take it
    """

    releases: list[Release] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def sift(entries: Iterable[Mapping[str, Any]], keys: Sequence[Ed25519PublicKey]) -> Offer:
    """Separate what is signed from what is not."""
    offer = Offer()
    for entry in entries:
        try:
            verify(entry, keys)
            offer.releases.append(parse(entry))
        except ReleaseUntrusted as error:
            offer.refused[str(entry.get("version", "?"))[:50]] = error.detail
    return offer


def choose(offer: Offer, running: Version, bad: Collection[str]) -> Release | None:
    """The newest release that is newer than what runs, is not known to be bad, and may follow it; None without any.

    Raises UpgradeRefused when there are newer ones and none may be taken: silence would look like being up to date.
    """
    newer = [release for release in offer.releases if release.number > running and release.version not in bad]
    fitting = [release for release in newer if Version(release.oldest) <= running]
    if fitting:
        return max(fitting, key=lambda release: release.number)
    if newer:
        nearest = min(newer, key=lambda release: Version(release.oldest))
        raise UpgradeRefused(
            f"{nearest.version} can only follow {nearest.oldest} or newer, this is {running}; "
            "the index has no release between them"
        )
    for version, reason in offer.refused.items():
        if _is_newer(version, running):
            raise ReleaseUntrusted(f"{version} is there, but {reason}")
    return None


def choose_version(offer: Offer, running: Version, wanted: str) -> Release:
    """The release that the operator names, also one that was bad before. Raises UpgradeRefused."""
    found = [release for release in offer.releases if release.version == wanted]
    if not found:
        raise UpgradeRefused(f"{wanted}: {offer.refused.get(wanted, 'there is no such release')}")
    if found[0].number <= running:
        raise UpgradeRefused(f"{wanted} is not newer than {running}; `metrist upgrade --rollback` goes back")
    if Version(found[0].oldest) > running:
        raise UpgradeRefused(f"{wanted} can only follow {found[0].oldest} or newer, this is {running}")
    return found[0]


def _is_newer(version: str, running: Version) -> bool:
    try:
        return Version(version) > running
    except InvalidVersion:
        return False
