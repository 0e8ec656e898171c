"""Our scripts, styles and Plotly's script, compressed once and kept by browsers for ever.

Every address carries a version: one hash over all our files, so that a module and what it imports always fit, and
Plotly's own version, so that a release of ours does not make browsers fetch its megabytes again. Names come from a
table made at start; no request ever names a path. A script is asked for by browsers that may hold a page of the release
before (a rolling update), so another version in the address is answered too, but kept by nobody.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import zstandard
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from domain.errors import NotFound

TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
FOR_EVER = "public, max-age=31536000, immutable"
ZSTD_LEVEL, GZIP_LEVEL = 12, 9  # Plotly's 4.8 MB in 0.17 s to 1.28 MB, and in 0.14 s to 1.47 MB
PLOTLY = "plotly.min.js"

router = APIRouter()


@dataclass(frozen=True)
class Asset:
    """One file in one encoding."""

    body: bytes
    etag: str
    encoding: str | None


@router.api_route("/static/{release}/{name:path}", methods=["GET", "HEAD"], include_in_schema=False)
def get_asset(
    release: str,
    name: str,
    request: Request,
    accept_encoding: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Serve one of our files; raises NotFound."""
    if name not in _sources():
        raise NotFound(f"There is no file {name} here")
    asset = _asset(name, best_encoding(accept_encoding))
    headers = _headers(name, asset, is_current=release == release_of(name))
    if asset.etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(b"" if request.method == "HEAD" else asset.body, headers=_sized(headers, asset))


def url_for(name: str) -> str:
    """The address of a file, with its version; raises KeyError for a name we do not have."""
    return f"/static/{release_of(name)}/{name}"


@cache
def release_of(name: str) -> str:
    """What the address of a file carries as its version; raises KeyError for a name we do not have."""
    if name not in _sources():
        raise KeyError(name)
    return f"plotly-{version('plotly')}" if name == PLOTLY else _hash_of_ours()


@cache
def plotly_sheets() -> tuple[str, ...]:
    """Ids under which Plotly's script would add style sheets of its own (for maps, which we draw none of).

    It adds none where an element of that id is there already; the policy forbids them, and each try is an error in
    the browser's console.
    """
    script = _sources()[PLOTLY].read_text("utf-8")
    return tuple(dict.fromkeys(re.findall(r'getElementById\("([0-9a-f]{64})"\)', script)))


@cache
def _sources() -> Mapping[str, Traversable]:
    ours = {file.name: file for file in files("dashboards").joinpath("static").iterdir() if _kind(file.name) in TYPES}
    return ours | {PLOTLY: files("plotly").joinpath("package_data", PLOTLY)}


@cache
def _hash_of_ours() -> str:
    whole = hashlib.sha256()
    for name, file in sorted(_sources().items()):
        if name != PLOTLY:
            whole.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


@cache
def _asset(name: str, encoding: str | None) -> Asset:
    plain = _sources()[name].read_bytes()
    etag = f'"{hashlib.sha256(plain).hexdigest()[:16]}{"-" + encoding if encoding else ""}"'
    match encoding:
        case "zstd":
            return Asset(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plain), etag, encoding)
        case "gzip":
            return Asset(gzip.compress(plain, GZIP_LEVEL, mtime=0), etag, encoding)
    return Asset(plain, etag, None)


def best_encoding(accepted: str) -> str | None:
    """zstd before gzip, as far as the browser takes them; `q=0` is a refusal."""
    offers = dict(_offer(part) for part in accepted.lower().split(","))
    return next((name for name in ("zstd", "gzip") if offers.get(name, offers.get("*", False))), None)


def _offer(part: str) -> tuple[str, bool]:
    name, _, parameters = part.partition(";")
    weight = parameters.strip().removeprefix("q=")
    return name.strip(), weight.strip("0.") != "" or not parameters


def _headers(name: str, asset: Asset, *, is_current: bool) -> dict[str, str]:
    headers = {
        "content-type": TYPES[_kind(name)],
        "cache-control": FOR_EVER if is_current else "no-cache",
        "etag": asset.etag,
        "vary": "Accept-Encoding",
    }
    return headers | ({"content-encoding": asset.encoding} if asset.encoding else {})


def _sized(headers: dict[str, str], asset: Asset) -> dict[str, str]:
    return headers | {"content-length": str(len(asset.body))}


def _kind(name: str) -> str:
    return name.rpartition(".")[2]
