"""A few threads of a process for what waits for other people's servers, so that the queue does not."""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()
MOST = 16


class Crew:
    """At most MOST at work; who finds none free is told so, and leaves it to those who are.

    The threads are daemons: a process that has to end does not wait for a receiver that hangs.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = 0
        self.is_closing = False

    def start(self, work: Callable[[], None]) -> bool:
        """Have it done by another thread; False when none is free, or all are going home."""
        with self._changed:
            if self._busy >= MOST or self.is_closing:
                return False
            self._busy += 1
        threading.Thread(target=self._do, args=[work], name="crew", daemon=True).start()
        return True

    def wait(self, within_s: float) -> bool:
        """Whether all of it is done by then."""
        with self._changed:
            return self._changed.wait_for(lambda: self._busy == 0, within_s)

    def close(self, within_s: float = 1.0) -> None:
        """Begin nothing new, and give what is under way a moment."""
        self.is_closing = True
        if not self.wait(within_s):
            log.warning("crew_left", busy=self._busy)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # a process edge: a store that is away now is asked again by the next sweep
            log.warning("crew_failed", error=type(error).__name__, detail=str(error)[:200])
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()
