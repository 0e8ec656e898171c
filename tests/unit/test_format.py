"""Numbers and times as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.format import MISSING, Unit, ago, duration, number, unit_of, without_unit

NUMBERS = [
    (None, Unit.PERCENT, "–"),
    (math.nan, Unit.COUNT, "–"),
    (math.inf, Unit.BYTES, "–"),
    (0, Unit.PERCENT, "0.0%"),
    (-0.01, Unit.PERCENT, "0.0%"),
    (1e-9, Unit.PERCENT, "0.0%"),
    (37.44, Unit.PERCENT, "37.4%"),
    (99.94, Unit.PERCENT, "99.9%"),
    (99.96, Unit.PERCENT, "100%"),
    (0, Unit.BYTES, "0 B"),
    (512, Unit.BYTES, "512 B"),
    (1023, Unit.BYTES, "1023 B"),
    (1023.6, Unit.BYTES, "1.00 KiB"),
    (1536, Unit.BYTES, "1.50 KiB"),
    (16 * 2**30, Unit.BYTES, "16.0 GiB"),
    (1023.9 * 2**20, Unit.BYTES, "1.00 GiB"),
    (5 * 2**70, Unit.BYTES, "5120 EiB"),
    (12.5 * 2**20, Unit.BYTES_PER_S, "12.5 MiB/s"),
    (0.25, Unit.BYTES_PER_S, "0.25 B/s"),
    (940_000_000, Unit.BITS_PER_S, "940 Mbit/s"),
    (0, Unit.SECONDS, "0 s"),
    (0.0000123, Unit.SECONDS, "12.3 µs"),
    (0.0123, Unit.SECONDS, "12.3 ms"),
    (4.2, Unit.SECONDS, "4.20 s"),
    (119.4, Unit.SECONDS, "119 s"),
    (750, Unit.SECONDS, "12m 30s"),
    (-750, Unit.SECONDS, "-12m 30s"),
    (273_600, Unit.SECONDS, "3d 4h"),
    (12.3, Unit.MILLISECONDS, "12.3 ms"),
    (2500, Unit.MILLISECONDS, "2.50 s"),
    (1234, Unit.PER_S, "1.23k/s"),
    (48, Unit.CELSIUS, "48.0 °C"),
    (2_400_000_000, Unit.HERTZ, "2.40 GHz"),
    (1200, Unit.RPM, "1200 rpm"),
    (0, Unit.COUNT, "0"),
    (0.5, Unit.COUNT, "0.50"),
    (0.125, Unit.COUNT, "0.13"),
    (0.0123, Unit.COUNT, "0.0123"),
    (1.234e-7, Unit.COUNT, "1.23e-7"),
    (3e9, Unit.CELSIUS, "3.00e+9 °C"),
    (2.5, Unit.COUNT, "2.50"),
    (-2.5, Unit.COUNT, "-2.50"),
    (9_999, Unit.COUNT, "9999"),
    (10_000, Unit.COUNT, "10.0k"),
    (999_999, Unit.COUNT, "1.00M"),
]
DURATIONS = [
    (0, "0s"),
    (45, "45s"),
    (59.6, "1m"),
    (750, "12m 30s"),
    (3_600, "1h"),
    (18_720, "5h 12m"),
    (86_400, "1d"),
    (86_460, "1d"),
    (273_600, "3d 4h"),
    (34_473_600, "1y 34d"),
]
AGES = [
    (None, "never"),
    (-3, "now"),
    (0.4, "now"),
    (4.9, "4 s ago"),
    (59.9, "59 s ago"),
    (60, "1 min ago"),
    (3_599, "59 min ago"),
    (7_200, "2 h ago"),
    (200_000, "2 d ago"),
]
UNITS = [
    ("cpu.usage_percent", Unit.PERCENT, "cpu.usage"),
    ("mem.used_bytes", Unit.BYTES, "mem.used"),
    ("net.received_bytes_per_s", Unit.BYTES_PER_S, "net.received"),
    ("disk.reads_per_s", Unit.PER_S, "disk.reads"),
    ("system.uptime_seconds", Unit.SECONDS, "system.uptime"),
    ("http.latency_ms", Unit.MILLISECONDS, "http.latency"),
    ("temperature.celsius", Unit.CELSIUS, "temperature"),
    ("load.1m", Unit.COUNT, "load.1m"),
    ("forms", Unit.COUNT, "forms"),
    ("bytes", Unit.COUNT, "bytes"),
]


@pytest.mark.parametrize(("value", "unit", "words"), NUMBERS, ids=str)
def test_a_number_reads(value: float | None, unit: Unit, words: str) -> None:
    assert number(value, unit) == words


@pytest.mark.parametrize(("value_s", "words"), DURATIONS, ids=str)
def test_a_duration_reads(value_s: float, words: str) -> None:
    assert duration(value_s) == words


@pytest.mark.parametrize(("age_s", "words"), AGES, ids=str)
def test_an_age_reads(age_s: float | None, words: str) -> None:
    assert ago(age_s) == words


@pytest.mark.parametrize(("metric", "unit", "rest"), UNITS, ids=str)
def test_a_metric_names_its_unit(metric: str, unit: Unit, rest: str) -> None:
    assert (unit_of(metric), without_unit(metric)) == (unit, rest)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(Unit))
def test_every_number_has_short_words(value: float, unit: Unit) -> None:
    words = number(value, unit)
    assert (words == MISSING) == (not math.isfinite(value))
    assert len(words) <= 16 or abs(value) > 1e15
