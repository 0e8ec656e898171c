"""Numbers with their units, and times the way people say them.

`static/format.js` says the same words in the browser; tests/integration/pages/test_scripts.py holds the two together.
"""

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

MISSING = "–"
IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
SI = ("", "k", "M", "G", "T", "P", "E")
SMALLEST_SHOWN, LARGEST_SHOWN = 1e-6, 1e6
"""Past these a number is written with its power of ten."""


class Unit(StrEnum):
    """What a metric is measured in; the names are also the `data-unit` of a graph."""

    PERCENT = "percent"
    BYTES = "bytes"
    BYTES_PER_S = "bytes_per_s"
    BITS_PER_S = "bits_per_s"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    PER_S = "per_s"
    CELSIUS = "celsius"
    HERTZ = "hertz"
    RPM = "rpm"
    COUNT = "count"


SUFFIXES: tuple[tuple[str, Unit], ...] = (
    ("bytes_per_s", Unit.BYTES_PER_S),
    ("bits_per_s", Unit.BITS_PER_S),
    ("per_s", Unit.PER_S),
    ("percent", Unit.PERCENT),
    ("bytes", Unit.BYTES),
    ("milliseconds", Unit.MILLISECONDS),
    ("ms", Unit.MILLISECONDS),
    ("seconds", Unit.SECONDS),
    ("celsius", Unit.CELSIUS),
    ("hertz", Unit.HERTZ),
    ("rpm", Unit.RPM),
)
"""Endings of metric names, the longest of a kind first."""


def unit_of(metric: str) -> Unit:
    """The unit a metric's name ends in; a plain count when it names none."""
    return next((unit for suffix, unit in SUFFIXES if _ends_in(metric, suffix)), Unit.COUNT)


def without_unit(metric: str) -> str:
    """A metric's name less the unit at its end: `mem.used_bytes` is `mem.used`."""
    suffix = next((suffix for suffix, _ in SUFFIXES if _ends_in(metric, suffix)), "")
    return metric[: len(metric) - len(suffix) - 1] if suffix else metric


def number(value: float | None, unit: Unit) -> str:
    """A value with its unit to three digits; a dash when there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    return WORDS[unit](value)


def seconds(value: float) -> str:
    """A length of time: `12.3 ms`, `4.20 s`, `12m 30s`, `3d 4h`."""
    size = abs(value)
    if size >= 119.5:
        return ("-" if value < 0 else "") + duration(size)
    if size >= 1 or size == 0:
        return _digits(value) + " s"
    return _digits(value * 1e3) + " ms" if size >= 1e-3 else _digits(value * 1e6) + " µs"


def duration(value_s: float) -> str:
    """The two largest parts of a time: `45s`, `12m 30s`, `5h 12m`, `3d 4h`, `1y 34d`."""
    whole = int(value_s + 0.5)
    hours = ((whole // 31_536_000, "y"), (whole // 86_400 % 365, "d"), (whole // 3_600 % 24, "h"))
    parts = (*hours, (whole // 60 % 60, "m"), (whole % 60, "s"))
    first = next((i for i, (n, _) in enumerate(parts) if n), len(parts) - 1)
    return " ".join(f"{n}{name}" for n, name in parts[first : first + 2] if n or first == len(parts) - 1)


def ago(age_s: float | None) -> str:
    """How long since something, to one part: `now`, `4 s ago`, `12 min ago`, `3 h ago`, `2 d ago`."""
    if age_s is None or not math.isfinite(age_s):
        return "never"
    if age_s < 1:
        return "now"
    for limit_s, part_s, name in ((60, 1, "s"), (3_600, 60, "min"), (86_400, 3_600, "h")):
        if age_s < limit_s:
            return f"{int(age_s // part_s)} {name} ago"
    return f"{int(age_s // 86_400)} d ago"


def _ends_in(metric: str, suffix: str) -> bool:
    return metric.endswith(("_" + suffix, "." + suffix))


def _count(value: float) -> str:
    if value == int(value) and abs(value) < 10_000:
        return str(int(value))
    return _scaled(value, SI, 1000, "")


def _scaled(value: float, names: tuple[str, ...], base: int, space: str) -> str:
    power = 0
    while abs(value) >= base - 0.5 and power < len(names) - 1:
        value /= base
        power += 1
    shown = str(int(value)) if power == 0 and value == int(value) else _digits(value)
    return shown + space + names[power]


def _digits(value: float) -> str:
    size = abs(value)
    if size >= 0.1 or size == 0:
        return _fixed(value, 0 if size >= 99.95 or size == 0 else 1 if size >= 9.995 else 2)
    return _fixed(value, 2 - math.floor(math.log10(size))) if size >= SMALLEST_SHOWN else _exponent(value)


def _fixed(value: float, places: int) -> str:
    """Round half away from zero, as the browser's `toFixed` does."""
    if abs(value) >= LARGEST_SHOWN:
        return _exponent(value)
    text = str(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))
    return text if text.strip("-0.") else text.removeprefix("-")


def _exponent(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent):+}"


WORDS: dict[Unit, Callable[[float], str]] = {
    Unit.PERCENT: lambda value: _fixed(value, 0 if abs(value) >= 99.95 else 1) + "%",
    Unit.BYTES: lambda value: _scaled(value, IEC, 1024, " "),
    Unit.BYTES_PER_S: lambda value: _scaled(value, IEC, 1024, " ") + "/s",
    Unit.BITS_PER_S: lambda value: _scaled(value, SI, 1000, " ") + "bit/s",
    Unit.SECONDS: seconds,
    Unit.MILLISECONDS: lambda value: seconds(value / 1000),
    Unit.PER_S: lambda value: _scaled(value, SI, 1000, "") + "/s",
    Unit.CELSIUS: lambda value: _fixed(value, 1) + " °C",
    Unit.HERTZ: lambda value: _scaled(value, SI, 1000, " ") + "Hz",
    Unit.RPM: lambda value: _count(value) + " rpm",
    Unit.COUNT: _count,
}
