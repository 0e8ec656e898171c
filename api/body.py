"""Reads a request's body within a limit, measured after decompression, so that a bomb costs no memory."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Protocol, TypeVar

import msgspec
import zstandard
from starlette.requests import Request

from domain.errors import InvalidBody, MalformedBody, TooLarge, UnsupportedMedia

T = TypeVar("T")
_CHUNK_BYTES = 65_536
JSON = "application/json"
NDJSON = "application/x-ndjson"
_NDJSON_NAMES = {NDJSON, "application/ndjson", "application/jsonl", "application/json-lines"}


class _Decompressor(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def is_complete(self) -> bool: ...


async def read(request: Request, limit_bytes: int) -> bytes:
    """The decoded body; raises TooLarge, UnsupportedMedia or MalformedBody."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    make = _DECOMPRESSORS.get(encoding)
    if make is None:
        raise UnsupportedMedia(
            f"Content-Encoding {encoding[:40]!r} is not supported; send gzip, zstd or none",
            headers={"Accept-Encoding": "gzip, zstd"},
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    async with aclosing(_limited(request, limit_bytes)) as chunks:
        return await _collect(chunks, make(), limit_bytes)


def decoded(raw: bytes, form: type[T]) -> T:
    """The body's JSON in a form; raises MalformedBody, InvalidBody with what to change."""
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"the body is not of the expected shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error


def media_type(request: Request) -> str:
    """JSON or NDJSON; raises UnsupportedMedia for anything else."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared in _NDJSON_NAMES:
        return NDJSON
    if declared in ("", JSON, "text/json"):
        return JSON
    raise UnsupportedMedia(
        f"Content-Type {declared[:60]!r} is not supported; send application/json or application/x-ndjson",
        headers={"Accept": f"{JSON}, {NDJSON}"},
    )


async def _limited(request: Request, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        yield chunk


async def _collect(chunks: AsyncIterator[bytes], decompressor: "_Decompressor", limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            for part in decompressor.feed(chunk):
                size += len(part)
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
                parts.append(part)
    except (zlib.error, zstandard.ZstdError) as error:
        raise MalformedBody(f"the body is not what its Content-Encoding says: {error}") from error
    if not decompressor.is_complete():
        raise MalformedBody("the compressed body ends too early")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit_bytes} bytes after decompression; send the snapshots in smaller batches",
        limit_bytes=limit_bytes,
    )


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def is_complete(self) -> bool:
        return True


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of at most 64 KiB; a gzip file may have several members."""
        while data:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(wbits=31)
            yield self._inflate.decompress(data, _CHUNK_BYTES)
            data = self._inflate.unconsumed_tail or self._inflate.unused_data

    def is_complete(self) -> bool:
        return self._inflate.eof


class _Zstd:
    """zstandard's push interface has no output limit, so the input goes in by small pieces and a window limit holds."""

    _PIECE_BYTES = 256

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024)
        self._inflate = self._context.decompressobj()
        self._is_started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            if self._inflate.eof:
                self._inflate = self._context.decompressobj()
            piece = data[at : at + self._PIECE_BYTES]
            yield self._inflate.decompress(piece)
            self._is_started = True
            at += len(piece) - len(self._inflate.unused_data)

    def is_complete(self) -> bool:
        return self._is_started and self._inflate.eof


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "identity": _Identity,
    "": _Identity,
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "zstd": _Zstd,
}
