"""Which batches were stored in the last while, in little memory and in little files: what a process knows beside Redis.

A file of digests a generation, in the folder of the spool; whoever takes the folder over reads them, so that neither a
killed process nor a Redis that does not answer makes a batch count twice (ADR 0022).
"""

import secrets
import threading
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

DIGEST_BYTES = 16
"""With 128 bits, any two of a million million ids are alike with a chance of 1 in 10^14."""
SUFFIX = ".stored"


def digest(key: str) -> bytes:
    """What stands for a key."""
    return blake2b(key.encode(), digest_size=DIGEST_BYTES).digest()


class Recent:
    """Holds a digest for at least `lasts_s` and at most twice that, unless more than `most` come meanwhile.

    Two generations: ageing drops the older one whole, so nothing is looked through. 200,000 digests take some 20 MB.
    """

    def __init__(self, lasts_s: float, most: int) -> None:
        self._lasts_s = lasts_s
        self._most_young = max(1, most // 2)
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._young_since_s = float("-inf")

    def add(self, found: bytes, now_s: float) -> None:
        """Remember one; `now_s` of a clock that never goes back."""
        if now_s - self._young_since_s >= self._lasts_s or len(self._young) >= self._most_young:
            self._young, self._old = set(), self._young
            self._young_since_s = now_s
        self._young.add(found)

    def __contains__(self, found: bytes) -> bool:
        return found in self._young or found in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Journal:
    """The same on disk, in few files of at most half as many; `write` may be called from any thread.

    Not fsynced: it outlives any process, and what a power failure takes of it Redis knows. Times are Unix seconds.
    """

    def __init__(self, folder: Path, lasts_s: float, most: int) -> None:
        self._folder = folder
        self._lasts_s = lasts_s
        self._most_bytes = most * DIGEST_BYTES
        self._writing = threading.Lock()
        self._young = next((path for path in reversed(self._files()) if self._takes_more(path)), None)

    def read(self, now_s: float) -> Iterator[bytes]:
        """What was written within the time, the oldest first."""
        self._drop_old(now_s)
        for path in self._files():
            kept = path.read_bytes()
            yield from (kept[at : at + DIGEST_BYTES] for at in range(0, _whole(len(kept)), DIGEST_BYTES))

    def write(self, found: Iterable[bytes], now_s: float) -> None:
        """Add these. Raises OSError; what comes next then goes to another file, since this one may end in a part."""
        with self._writing:
            if self._young is None or not self._takes_more(self._young) or now_s - _made_s(self._young) > self._lasts_s:
                self._drop_old(now_s)
                self._young = self._folder / f"{int(now_s * 1000):013d}-{secrets.token_hex(6)}{SUFFIX}"
            try:
                with self._young.open("ab") as file:
                    file.write(b"".join(found))
            except OSError:
                self._young = None
                raise

    def _takes_more(self, path: Path) -> bool:
        size = path.stat().st_size if path.exists() else 0
        return size == _whole(size) and size < self._most_bytes // 2

    def _drop_old(self, now_s: float) -> None:
        """Remove what was last written too long ago, and what is older than enough others."""
        newer_bytes = 0
        for path in reversed(self._files()):
            found = path.stat()
            if now_s - found.st_mtime > self._lasts_s or newer_bytes >= self._most_bytes:
                path.unlink(missing_ok=True)
            newer_bytes += found.st_size

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))


def _whole(size: int) -> int:
    """Without the part that somebody who died while writing may have left."""
    return size // DIGEST_BYTES * DIGEST_BYTES


def _made_s(path: Path) -> float:
    return int(path.name.partition("-")[0]) / 1000
