"""When to take snapshots."""

import math
from uuid import UUID


class Schedule:
    """Instants on a fixed grid; those missed (a busy machine, a suspended laptop) are skipped, never made up.

    The grid is laid on the wall clock once and followed on the monotonic clock, so it neither drifts nor jumps.
    """

    def __init__(self, interval_s: float, phase_s: float, now_s: float, wall_s: float) -> None:
        """phase_s: how far the grid lies behind the multiples of the interval; now_s, wall_s: both clocks at once."""
        self._interval_s = interval_s
        self._origin_s = now_s + (phase_s - wall_s) % interval_s

    def next_after(self, now_s: float) -> float:
        """The first instant after now, on the monotonic clock."""
        steps = math.floor((now_s - self._origin_s) / self._interval_s) + 1
        return self._origin_s + steps * self._interval_s


def phase_of(instance: UUID, interval_s: float) -> float:
    """An agent's own place within the interval, so that ten thousand of them do not all report in one instant."""
    return instance.int / 2**128 * interval_s
