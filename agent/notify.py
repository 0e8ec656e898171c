"""How this process is, told to systemd: READY=1, then WATCHDOG=1, as datagrams to NOTIFY_SOCKET (sd_notify(3)).

Whoever calls `turned` does so from its own loop, so that what is told is true: a loop that hangs says nothing, and
systemd ends it. Without systemd this does nothing. It lies here because the agent knows nothing of the platform, while
the platform's processes may use what is the agent's.

In a container nobody listens; there METRIST_ALIVE_FILE names a file that is touched at the same moments, and whose age
tells a health check how the process is.
"""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from pathlib import Path

PER_PATIENCE = 3
"""So often within the time that systemd waits; twice is what it asks for."""
WITHOUT_WATCHDOG_S = 60.0
TOUCH_EVERY_S = 5.0


class Notifier:
    """Tells systemd what it must know. Takes the variables out of the environment, so that no child speaks for us."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        alive = environ.pop("METRIST_ALIVE_FILE", "")
        self._file = Path(alive) if alive else None
        self._touched_at = -float("inf")
        patience_s = _patience_s(environ)
        self.every_s = patience_s / PER_PATIENCE if patience_s else WITHOUT_WATCHDOG_S
        self._watched = patience_s > 0
        self._told_at = -float("inf")
        self._is_ready = False

    def turned(self) -> None:
        """The loop has come round. Cheap: tells at the first call, and then no oftener than needed."""
        now = time.monotonic()
        self._touch(now)
        if not self._is_ready:
            self._is_ready = True
            self._tell("READY=1")
        elif not self._watched or now - self._told_at < self.every_s / 2:
            return
        else:
            self._tell("WATCHDOG=1")
        self._told_at = now

    def stopping(self) -> None:
        """We were asked to end and are about it."""
        self._tell("STOPPING=1")

    def _touch(self, now: float) -> None:
        """A disk that is full is no reason to fail, either: then the file grows old."""
        if self._file is not None and now - self._touched_at >= TOUCH_EVERY_S:
            self._touched_at = now
            with contextlib.suppress(OSError):
                self._file.touch()

    def _tell(self, state: str) -> None:
        """systemd that does not listen is no reason to fail."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto(state.encode(), address)


def _patience_s(environ: MutableMapping[str, str]) -> float:
    """How long systemd waits for a sign; 0 when it does not, or means another process."""
    patience, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not patience.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(patience) / 1_000_000
