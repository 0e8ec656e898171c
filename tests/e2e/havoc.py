"""What a platform is put through: pieces killed, frozen and ended, all of it killed, its disk filled to the last byte.

And what its processes take of memory meanwhile.
"""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.e2e.platforms import PIECES, Platform

PAUSE_S = (1.5, 5.0)
LOOK_EVERY_S = 0.5


class Havoc:
    """Does it, and counts; `killed` by piece."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self.killed: Counter[str] = Counter()
        self._platform = platform
        self._rng = random.Random(seed)

    def rage(self, seconds: float, spare: Collection[str] = ()) -> None:
        """Kill a piece at random, again and again for so long."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            time.sleep(min(left_s, self._rng.uniform(*PAUSE_S)))
            self._kill(self._rng.choice([piece for piece in PIECES if piece not in spare]))

    def freeze(self, piece: str, seconds: float) -> None:
        """A piece answers nobody for so long, nor does its successor; others go on falling, but for the stores."""
        with self._frozen(piece):
            self.rage(seconds, spare={piece, "engine", "valkey"})

    def end(self, piece: str) -> None:
        """As an operator restarts it; one that was started on a full disk has no pid file, and is left alone."""
        pid = self._platform.child_pid(piece)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill_all(self) -> None:
        """`metrist up` itself, and so everything; then it is started again."""
        self._platform.process.kill()
        self._platform.process.wait()
        self.killed["up"] += 1
        self._platform.start()

    def _kill(self, piece: str) -> None:
        pid = self._platform.child_pid(piece)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[piece] += 1

    @contextmanager
    def _frozen(self, piece: str) -> Iterator[None]:
        """`metrist up` ends what hangs and starts another: that one is frozen, too."""
        over = threading.Event()
        held: set[int] = set()

        def hold() -> None:
            while not over.wait(0.1):
                pid = self._platform.child_pid(piece)
                if pid and pid not in held:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        held.add(pid)

        holding = threading.Thread(target=hold)
        holding.start()
        try:
            yield
        finally:
            over.set()
            holding.join()
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


class Memory:
    """The most that each piece was seen to take, resident MB; use as a context manager."""

    def __init__(self, platform: Platform) -> None:
        self.most_mb: defaultdict[str, float] = defaultdict(float)
        self._platform = platform
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            for piece in PIECES:
                with contextlib.suppress(psutil.NoSuchProcess):
                    pid = self._platform.child_pid(piece)
                    taken_mb = psutil.Process(pid).memory_info().rss / 1e6 if pid else 0.0
                    self.most_mb[piece] = max(self.most_mb[piece], taken_mb)


class Disk:
    """A small disk of its own, in memory; `why_not` says why there is none, and then it is just a folder."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        self.why_not = mounted.stderr.strip() if mounted.returncode else ""

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left, meanwhile."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * (1 << 20))
        with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0")
        try:
            yield
        finally:
            ballast.unlink()

    def close(self) -> None:
        """After everybody has left it."""
        if not self.why_not:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
