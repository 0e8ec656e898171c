"""How files become objects: in pieces, each packed by itself, or as a tar of a folder that is packed already."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

PIECE_BYTES = 4 * 1024 * 1024
"""A page that changes in the control DB costs a backup so much at most."""
_READ_BYTES = 1024 * 1024
_LEVEL = 3
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)


def pieces(contents: Iterable[bytes]) -> Iterator[bytes]:
    """What comes in, cut at every PIECE_BYTES: what did not change gives the same pieces again."""
    waiting = bytearray()
    for each in contents:
        waiting += each
        while len(waiting) >= PIECE_BYTES:
            yield bytes(waiting[:PIECE_BYTES])
            del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)


def read(file: Path) -> Iterator[bytes]:
    """A file's contents."""
    with file.open("rb") as opened:
        while piece := opened.read(_READ_BYTES):
            yield piece


def pack(contents: Iterable[bytes]) -> Iterator[bytes]:
    """Compressed as one stream, never in memory as a whole."""
    packer = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
    for piece in contents:
        yield packer.compress(piece)
    yield packer.flush()


def unpack(contents: Iterable[bytes]) -> Iterator[bytes]:
    """What `pack` was given."""
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    for piece in contents:
        yield unpacker.decompress(piece)


def tar(folder: Path) -> Iterator[bytes]:
    """The files of a folder, below it, as a tar that depends on nothing but their names and contents."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            info = tarfile.TarInfo(str(path.relative_to(folder)))
            info.size, info.mode = path.stat().st_size, 0o600
            yield info.tobuf(tarfile.GNU_FORMAT)
            yield from read(path)
            yield b"\0" * (-info.size % _BLOCK)
    yield _END


def untar(contents: Iterable[bytes], folder: Path) -> None:
    """Write the files of a tar below a folder, and nowhere else."""
    with tarfile.open(fileobj=_Reader(contents), mode="r|") as archive:
        archive.extractall(folder, filter="data")


class _Reader(io.RawIOBase):
    """A file that is read from an iterator."""

    def __init__(self, contents: Iterable[bytes]) -> None:
        self._contents = iter(contents)
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer only at the end."""
        found = bytearray()
        while len(found) < size:
            if not self._waiting:
                self._waiting = next(self._contents, b"")
                if not self._waiting:
                    break
            took, self._waiting = self._waiting[: size - len(found)], self._waiting[size - len(found) :]
            found += took
        return bytes(found)
