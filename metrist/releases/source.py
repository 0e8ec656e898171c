"""Where releases are looked for: a folder, or an HTTP address, with `index.json` and the files beside it."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from metrist.releases.errors import ReleaseUntrusted, UpgradeRefused
from metrist.releases.release import File

INDEX = "index.json"
INDEX_MAX_BYTES = 4_000_000
TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 16


def read_index(source: str) -> list[dict[str, Any]]:
    """Every entry of the index, as it is: nothing of it is trusted yet. Raises UpgradeRefused."""
    body = b"".join(_chunks(source, INDEX, INDEX_MAX_BYTES))
    try:
        entries = json.loads(body)["releases"]
    except (ValueError, KeyError, TypeError):
        raise UpgradeRefused(f"{INDEX} at {source} is no index of releases") from None
    if not isinstance(entries, list):
        raise UpgradeRefused(f"{INDEX} at {source} is no index of releases")
    return [entry for entry in entries if isinstance(entry, dict)]


def fetch(source: str, file: File, folder: Path) -> Path:
    """Bring a file into a folder of ours. Raises ReleaseUntrusted when it is not what was signed, and keeps nothing."""
    path, digest, size = folder / file.name, hashlib.sha256(), 0
    with path.open("wb") as into:
        for chunk in _chunks(source, file.url or file.name, file.size):
            digest.update(chunk)
            size += len(chunk)
            into.write(chunk)
    if size != file.size or digest.hexdigest() != file.sha256:
        path.unlink()
        raise ReleaseUntrusted(f"{file.name} is not the file that was signed")
    return path


def _chunks(source: str, name: str, at_most: int) -> Iterator[bytes]:
    """The bytes of a file of the source, at most one chunk more than so many. Raises UpgradeRefused."""
    got = 0
    for chunk in _from_web(source, name) if source.startswith(("http://", "https://")) else _from_folder(source, name):
        got += len(chunk)
        yield chunk
        if got > at_most:
            raise ReleaseUntrusted(f"{name} is larger than it may be")


def _from_web(source: str, name: str) -> Iterator[bytes]:
    """As it is on the wire: a compressed body would be another size than what was signed."""
    url = urljoin(source.rstrip("/") + "/", name)
    try:
        with httpx.stream(
            "GET", url, timeout=TIMEOUT_S, follow_redirects=True, headers={"Accept-Encoding": "identity"}
        ) as answer:
            answer.raise_for_status()
            yield from answer.iter_bytes(_CHUNK_BYTES)
    except httpx.HTTPStatusError as error:
        raise UpgradeRefused(f"{url} answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UpgradeRefused(f"cannot fetch {url}: {error or type(error).__name__}") from None


def _from_folder(source: str, name: str) -> Iterator[bytes]:
    try:
        with (Path(source) / name).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise UpgradeRefused(f"cannot read {name} in {source}: {error.strerror}") from None
