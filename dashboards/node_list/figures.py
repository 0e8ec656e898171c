"""The figures in the list of nodes: a last value and thirty minutes as a line, small enough to send to every page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dashboards.format import Unit, unit_of
from schema.figures import Across, Minutes

MINUTES: Final = 30
LAST_MINUTES: Final = 3
"""A figure's last value may be this old; an older one is history."""
LEVELS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""A minute's height in a line of 20 pixels, one character each."""
GAP: Final = "."


@dataclass(frozen=True)
class Figure:
    """A column of the list: one metric; `top` is the line's upper edge, None for the largest value in it."""

    title: str
    metric: str
    across: Across
    top: float | None = None

    @property
    def unit(self) -> Unit:
        return unit_of(self.metric)


FIGURES: Final[dict[str, Figure]] = {
    "cpu": Figure("CPU", "cpu.usage_percent", "avg", 100),
    "mem": Figure("Memory", "mem.used_percent", "max", 100),
    "disk": Figure("Disk", "disk.used_percent", "max", 100),
    "load": Figure("Load", "load.1m", "max"),
    "net": Figure("Net in", "net.received_bytes_per_s", "sum"),
}
KEYS: Final = {figure.metric: key for key, figure in FIGURES.items()}


class Shown(NamedTuple):
    """A figure as the browser gets it: its value now (or None), and one character a minute."""

    last: float | None
    line: str


def first_minute(now_s: float) -> int:
    """Unix seconds at which the lines begin."""
    return (int(now_s) // 60 - MINUTES + 1) * 60


def shown(found: Minutes) -> tuple[str, Shown]:
    """The key of a figure and what is shown of it; the minutes count from `first_minute`."""
    key = KEYS[found.metric]
    values: list[float | None] = [None] * MINUTES
    for minute, value in zip(found.minutes, found.values, strict=True):
        if 0 <= minute < MINUTES:
            values[minute] = value
    return key, Shown(last_of(values), _line(values, FIGURES[key].top))


def last_of(values: Sequence[float | None]) -> float | None:
    """The newest of the last minutes' values, to four digits."""
    last = next((value for value in reversed(values[-LAST_MINUTES:]) if value is not None), None)
    return None if last is None else float(f"{last:.4g}")


def _line(values: Sequence[float | None], top: float | None) -> str:
    known = [value for value in values if value is not None]
    most = top or max(known, default=0) or 1
    scale = (len(LEVELS) - 1) / most
    return "".join(GAP if value is None else LEVELS[_level(value * scale)] for value in values)


def _level(height: float) -> int:
    return max(0, min(len(LEVELS) - 1, int(height + 0.5)))
