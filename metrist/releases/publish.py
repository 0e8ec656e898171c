"""Make a folder of releases: copy the files, note their checksums, sign."""

import hashlib
import json
import re
import shutil
import zipfile
from datetime import datetime
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from packaging.version import Version

from dashboards import download
from metrist.releases.errors import UpgradeRefused
from metrist.releases.release import FILE_NAME, parse
from metrist.releases.signing import sign
from metrist.releases.source import INDEX

NAME = "metrist"


def publish(
    folder: Path,
    wheel: Path,
    key: Ed25519PrivateKey,
    now: datetime,
    *,
    agent: Path | None = None,
    constraints: Path | None = None,
    oldest: str | None = None,
    notes: str = "",
    url: str = "",
) -> str:
    """Add a release to the folder's index, or put it in place of one of that version; returns the version.

    agent   the agent's wheel; made from our own code when the wheel is of the version that runs
    oldest  from an older one than this, one goes by a release between; the release before in the index when not given
    url     the address of the folder that the files will be in, when that is not the index's own

    Raises UpgradeRefused.
    """
    number = _version_of(wheel)
    folder.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in _entries(folder) if entry.get("version") != number]
    files = {"wheel": _put(folder, wheel, url)}
    if found := _agent(folder, agent, number):
        files["agent"] = _put(folder, found, url)
    if constraints is not None:
        files["constraints"] = _put(folder, _renamed(folder, constraints, f"constraints-{number}.txt"), url)
    entry: dict[str, Any] = {
        "version": number,
        "oldest": oldest or _before(entries, number),
        "published_at": now.isoformat(timespec="seconds"),
        "notes": notes,
        **files,
    }
    parse(entry)
    entries = sorted([*entries, sign(entry, key)], key=lambda each: Version(each["version"]))
    new = folder / f"{INDEX}.new"
    new.write_text(json.dumps({"releases": entries}, indent=1) + "\n")
    new.replace(folder / INDEX)
    return number


def _version_of(wheel: Path) -> str:
    """As the wheel's own metadata says."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            told = HeaderParser().parsestr(archive.read(name).decode())
    except (OSError, zipfile.BadZipFile, StopIteration):
        raise UpgradeRefused(f"{wheel} is no wheel") from None
    if told["Name"] != NAME:
        raise UpgradeRefused(f"{wheel} is a wheel of {told['Name']}, not of {NAME}")
    return str(Version(told["Version"]))


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / INDEX
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text())["releases"] if path.exists() else []
    except (OSError, ValueError, KeyError, TypeError):
        raise UpgradeRefused(f"{path} is no index of releases") from None
    return found


def _before(entries: list[dict[str, Any]], number: str) -> str:
    """Tables are kept for the release before: who is older goes by that one."""
    older = [Version(entry["version"]) for entry in entries if Version(entry["version"]) < Version(number)]
    return str(max(older, default=Version("0")))


def _agent(folder: Path, given: Path | None, number: str) -> Path | None:
    if given is not None or version(NAME) != number:
        return given
    path = folder / download.wheel_name()
    path.write_bytes(download.wheel())
    return path


def _renamed(folder: Path, path: Path, name: str) -> Path:
    """Each release has constraints of its own, so they need names of their own."""
    shutil.copyfile(path, folder / name)
    return folder / name


def _put(folder: Path, path: Path, url: str) -> dict[str, Any]:
    if not re.fullmatch(FILE_NAME, path.name):
        raise UpgradeRefused(f"{path.name!r} is no name for a file of a release")
    if path.resolve() != (folder / path.name).resolve():
        shutil.copyfile(path, folder / path.name)
    body = (folder / path.name).read_bytes()
    told = {"name": path.name, "sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    return {**told, "url": f"{url.rstrip('/')}/{path.name}"} if url else told
