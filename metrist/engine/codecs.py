"""Content-Encoding, both ways."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import lz4.frame
import zstandard

from metrist.engine.errors import EngineError

GZIP = 31
"""zlib's window bits for a gzip header and trailer."""
ZLIB = 15
PREFERENCE = ("zstd", "lz4", "gzip", "deflate")
"""ClickHouse's own order for Accept-Encoding, without those that need one more library (br, snappy, xz, bz2)."""
FASTEST = 1


class Encoder(Protocol):
    """Compresses a response piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a piece; the answer may be empty."""

    def flush(self) -> bytes:
        """End the stream."""


def choose(accept_encoding: str) -> str:
    """Pick the response's encoding as ClickHouse does: by mere presence of the name; empty is none."""
    return next((name for name in PREFERENCE if name in accept_encoding), "")


def encoder(name: str, level: int = FASTEST) -> Encoder:
    """Build the encoder of a name that `choose` gave; a level beyond the method's range is its end."""
    if name == "zstd":
        return zstandard.ZstdCompressor(level=min(max(level, 1), 19)).compressobj()
    if name == "lz4":
        return _Lz4()
    return zlib.compressobj(min(max(level, 1), 9), zlib.DEFLATED, GZIP if name == "gzip" else ZLIB)


def encode(pieces: Iterable[bytes], chosen: Encoder) -> Iterator[bytes]:
    """Compress a stream. Nothing is held back at its end, so that a failure can still be told in the same encoding."""
    for piece in pieces:
        if packed := chosen.compress(piece):
            yield packed


class Decoder:
    """Undoes a request's Content-Encoding piece by piece; frames may follow one another, as clients send them."""

    def __init__(self, name: str) -> None:
        """Raises EngineError for an encoding we do not know."""
        if name not in _FRAMES:
            raise EngineError(48, "NOT_IMPLEMENTED", f"Unknown compression method '{name}'")
        self._name = name
        self._frame: Any = None

    def decode(self, data: bytes) -> bytes:
        """Raises EngineError when the bytes are not what the header says."""
        out = []
        while data:
            self._frame = self._frame or _FRAMES[self._name]()
            try:
                out.append(self._frame.decompress(data))
            except (zlib.error, zstandard.ZstdError, RuntimeError) as error:
                raise EngineError(*_FAILURES[self._name], f"Cannot decompress the body: {error}") from None
            data = b""
            if self._frame.eof:
                data, self._frame = self._frame.unused_data, None
        return b"".join(out)

    def finish(self) -> None:
        """The body has ended. Raises EngineError in the middle of a frame."""
        if self._frame is not None:
            raise EngineError(*_FAILURES[self._name], "Cannot decompress the body: it ends in the middle")


_FRAMES = {
    "gzip": lambda: zlib.decompressobj(GZIP),
    "deflate": lambda: zlib.decompressobj(ZLIB),
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "lz4": lz4.frame.LZ4FrameDecompressor,
}
_FAILURES = {
    "gzip": (354, "ZLIB_INFLATE_FAILED"),
    "deflate": (354, "ZLIB_INFLATE_FAILED"),
    "zstd": (561, "ZSTD_DECODER_FAILED"),
    "lz4": (618, "LZ4_DECODER_FAILED"),
}


class _Lz4:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._head = self._frame.begin()

    def compress(self, data: bytes, /) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._frame.compress(data))

    def flush(self) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._frame.flush())
