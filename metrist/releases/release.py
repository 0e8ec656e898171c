"""What a release is: files with their checksums, under a signature."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from packaging.version import InvalidVersion, Version

from metrist.releases.errors import ReleaseUntrusted

FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$"
"""No name leads out of a folder."""
_PURPOSE = b"metrist release\n"
"""Signed along, so that no signature for anything else is one for a release."""


class File(msgspec.Struct, frozen=True):
    """One file. `url` is where it lies, when that is not beside the index."""

    name: Annotated[str, msgspec.Meta(pattern=FILE_NAME)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=1, le=500_000_000)]
    url: str = ""


class Release(msgspec.Struct, frozen=True):
    """A release as `index.json` has it.

    oldest       from an older one than this, one goes by a release between
    constraints  the libraries it was tested with, for pip
    """

    version: str
    oldest: str
    wheel: File
    published_at: str = ""
    notes: str = ""
    agent: File | None = None
    constraints: File | None = None

    @property
    def number(self) -> Version:
        return Version(self.version)


def signed_bytes(entry: Mapping[str, Any]) -> bytes:
    """What is signed of an entry: all but its signature, in one spelling whatever the index's layout."""
    signed = {name: value for name, value in entry.items() if name != "signature"}
    return _PURPOSE + json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()


def parse(entry: Mapping[str, Any]) -> Release:
    """Read an entry whose signature is right. Raises ReleaseUntrusted for one that is no release all the same."""
    try:
        found = msgspec.convert(entry, Release)
        return found if Version(found.oldest) <= found.number else _refuse("it is older than the oldest it can follow")
    except (msgspec.ValidationError, InvalidVersion) as error:
        return _refuse(str(error))


def _refuse(reason: str) -> Release:
    raise ReleaseUntrusted(f"a release in the index is malformed: {reason}")
