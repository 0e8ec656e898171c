"""The lines of queries on a real ClickHouse, against the same worked out sample by sample in Python."""

import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from domain.errors import InvalidQuery
from domain.ids import AccountId
from domain.query import Query
from domain.series import HOUR, MINUTE, RAW, Plan, Resolution
from domain.series_key import labelset
from domain.settings import Settings
from schema import migrate, query, samples
from schema.clickhouse_client import ClickHouse
from schema.query import Cut, Line
from tests.clickhouse_server import Server

START_S = 1_767_225_600
HOURS = 4
STEP_S = 3_600
KEPT = Settings(raw_retention_days=10_000, minute_retention_days=10_000, hour_retention_days=10_000)
MINE, THEIRS = AccountId(uuid4()), AccountId(uuid4())

Sample = tuple[float, float]
Series = Mapping[tuple[str, str], list[Sample]]  # (node, labelset) → samples by time
Values = list[float | None]

LABELS = [{}, {"core": "0"}, {"core": "1"}, {"core": "1", "odd": 'a="b",core="7"'}, {"odd": "it's \\ ü"}]


@pytest.fixture(scope="module")
def stored(clickhouse_server: Server) -> Iterator[tuple[ClickHouse, Series, Series]]:
    """Gauges and counters of two accounts, in several inserts, with gaps, resets and labels that are hard to read."""
    name = f"test_{uuid4().hex}"
    password = clickhouse_server.password.replace(" ", "%20")
    server = clickhouse_server
    with server.client() as client:
        client.command(f"CREATE DATABASE {name}")
        clickhouse = ClickHouse(f"http://{server.username}:{password}@{server.host}:{server.port}/{name}")
        migrate.upgrade(clickhouse, KEPT)
        gauges, counters = _gauges(random.Random(1)), _counters(random.Random(2))
        for number in range(3):
            _insert(clickhouse, MINE, "gauge", {key: found[number::3] for key, found in gauges.items()})
        for from_s in range(START_S, START_S + HOURS * 3_600, 3_600):  # whole minutes, as agents send in time
            _insert(clickhouse, MINE, "counter", _between(counters, from_s, from_s + 3_600))
        _insert(clickhouse, THEIRS, "gauge", {("canary", ""): [(START_S + 1.0, 1e9)]})
        yield clickhouse, gauges, counters
        clickhouse.close()
        client.command(f"DROP DATABASE {name} SYNC")


def _gauges(chance: random.Random) -> dict[tuple[str, str], list[Sample]]:
    found = {}
    for node in ("web-1", "web-2", "db-1", "gone.x"):
        for labels in LABELS[: 2 if node == "gone.x" else 5]:
            until_s = 3_600 if node == "gone.x" else HOURS * 3_600
            offset = chance.uniform(-50, 50)
            found[node, labelset(labels)] = [
                (START_S + at_s + chance.randrange(1_000) / 1_000, round(offset + chance.uniform(-9, 9), 3))
                for at_s in range(0, until_s, 47)
                if not 6_000 < at_s < 11_500
            ]
    return found


def _counters(chance: random.Random) -> dict[tuple[str, str], list[Sample]]:
    """Each begins anew at most once a minute, and never grows past where it fell from within that minute."""
    found = {}
    for node in ("web-1", "web-2"):
        for labels in LABELS[1:3]:
            total, rows = 1e6 * chance.random(), []
            for at_s in range(0, HOURS * 3_600, 20):
                total = chance.uniform(0, 5) if chance.random() < 0.005 else total + chance.uniform(0, 30)
                rows.append((START_S + at_s + 0.5, round(total, 3)))
            found[node, labelset(labels)] = rows
    return found


def _between(series: Series, from_s: int, to_s: int) -> Series:
    return {key: [row for row in rows if from_s <= row[0] < to_s] for key, rows in series.items()}


def _insert(clickhouse: ClickHouse, account: AccountId, metric: str, series: Series) -> None:
    snapshots = [
        {"node": node, "ts": ts, "metrics": {f"{metric}{{{labels}}}" if labels else metric: value}}
        for (node, labels), found in series.items()
        for ts, value in found
    ]
    line = {"account": str(account), "batch": "b", "snapshots": snapshots}
    samples.insert(clickhouse, json.dumps(line).encode() + b"\n", uuid4().hex)


def plan(tier: Resolution, step_s: int = STEP_S) -> Plan:
    return Plan(tier, step_s, START_S, START_S + HOURS * 3_600)


def read(clickhouse: ClickHouse, asked: Query, tier: Resolution = RAW, step_s: int = STEP_S, **cut: Any) -> list[Line]:
    return query.read(clickhouse, MINE, asked, Cut(plan(tier, step_s), **cut), 100).lines


def values(line: Line, part: str = "values") -> Values:
    return msgspec.json.decode(getattr(line, part), type=list[float | None])


def by_labels(lines: list[Line]) -> dict[str, Values]:
    return {labelset(line.labels): values(line) for line in lines}


def close(found: Mapping[str, Values], expected: Mapping[str, Values]) -> bool:
    return found.keys() == expected.keys() and all(_same(found[key], expected[key]) for key in expected)


def _same(found: Values, expected: Values) -> bool:
    return all(
        (one is None) == (other is None)
        and (one is None or other is None or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9))
        for one, other in zip(found, expected, strict=True)
    )


def percentile(found: list[float], n: int) -> float:
    """Between the two nearest values, as spreadsheets and Prometheus have it."""
    return statistics.quantiles(found, n=100, method="inclusive")[n - 1] if len(found) > 1 else found[0]


OVERS: dict[str, Callable[[list[float]], float]] = {
    "avg": lambda found: sum(found) / len(found),
    "min": min,
    "max": max,
    "sum": sum,
    "last": lambda found: found[-1],
    "count": lambda found: float(len(found)),
}
PERCENTILES = {f"p{n}": lambda found, n=n: percentile(found, n) for n in (50, 90, 95, 99)}
FOLDS = {name: OVERS[name] for name in ("avg", "min", "max", "sum", "count")} | PERCENTILES


def resampled(series: Series, over: str, step_s: int = STEP_S) -> dict[str, Values]:
    """Every series' buckets, keyed by its labels and node."""
    found: dict[str, Values] = {}
    for (node, labels), rows in series.items():
        buckets: dict[int, list[float]] = defaultdict(list)
        for ts, value in sorted(rows):
            buckets[int(ts - START_S) // step_s].append(value)
        found[keyed(node, labels)] = [
            (OVERS | PERCENTILES)[over](buckets[slot]) if slot in buckets else None
            for slot in range(HOURS * 3_600 // step_s)
        ]
    return found


def keyed(node: str, labels: str) -> str:
    return labelset({**query.labels_of(labels), "node": node})


def folded(lines: Mapping[str, Values], by: tuple[str, ...], across: str) -> dict[str, Values]:
    groups: dict[str, list[Values]] = defaultdict(list)
    for key, found in lines.items():
        labels = query.labels_of(key)
        groups[labelset({label: labels[label] for label in by if label in labels})].append(found)
    return {
        key: [
            FOLDS[across](present) if (present := [v for v in column if v is not None]) else None
            for column in zip(*members, strict=True)
        ]
        for key, members in groups.items()
    }


@pytest.mark.parametrize("tier", [RAW, MINUTE, HOUR], ids=lambda tier: tier.name)
@pytest.mark.parametrize("over", list(OVERS))
def test_each_series_by_itself(stored: tuple[ClickHouse, Series, Series], over: Any, tier: Resolution) -> None:
    clickhouse, gauges, _ = stored
    assert close(by_labels(read(clickhouse, Query("A", "gauge", over=over), tier)), resampled(gauges, over))


@pytest.mark.parametrize("over", list(PERCENTILES))
@pytest.mark.parametrize("step_s", [60, STEP_S])
def test_percentiles_over_time_are_of_single_samples(
    stored: tuple[ClickHouse, Series, Series], over: Any, step_s: int
) -> None:
    clickhouse, gauges, _ = stored
    found = by_labels(read(clickhouse, Query("A", "gauge", over=over), RAW, step_s))
    assert close(found, resampled(gauges, over, step_s))


def test_who_is_on_top_by_a_percentile(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, gauges, _ = stored
    asked = Query("A", "gauge", over="p95", top=3)
    whole = resampled(gauges, "p95", HOURS * 3_600)
    largest = sorted(whole, key=lambda key: -(whole[key][0] or 0))[:3]
    assert sorted(by_labels(read(clickhouse, asked))) == sorted(largest)


@pytest.mark.parametrize("tier", [RAW, MINUTE], ids=lambda tier: tier.name)
def test_finer_steps_keep_gaps_as_gaps(stored: tuple[ClickHouse, Series, Series], tier: Resolution) -> None:
    clickhouse, gauges, _ = stored
    found = by_labels(read(clickhouse, Query("A", "gauge"), tier, 60))
    assert close(found, resampled(gauges, "avg", 60))
    assert None in found[keyed("web-1", "")][:200]


@pytest.mark.parametrize("across", list(FOLDS))
@pytest.mark.parametrize("by", [(), ("node",), ("core",), ("core", "node"), ("odd",)], ids=str)
def test_series_are_put_together(stored: tuple[ClickHouse, Series, Series], by: tuple[str, ...], across: Any) -> None:
    clickhouse, gauges, _ = stored
    found = by_labels(read(clickhouse, Query("A", "gauge", by=by, across=across), MINUTE))
    assert close(found, folded(resampled(gauges, "avg"), by, across))


def test_the_band_is_that_of_the_samples(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, gauges, _ = stored
    for tier in (RAW, MINUTE, HOUR):
        for line in read(clickhouse, Query("A", "gauge"), tier):
            key = labelset(line.labels)
            assert _same(values(line, "low"), resampled(gauges, "min")[key])
            assert _same(values(line, "high"), resampled(gauges, "max")[key])


def test_the_band_of_a_mean_is_that_of_all_its_samples(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, gauges, _ = stored
    lows, highs = (folded(resampled(gauges, part), ("node",), part) for part in ("min", "max"))
    for line in read(clickhouse, Query("A", "gauge", by=("node",)), MINUTE):
        key = labelset(line.labels)
        assert _same(values(line, "low"), lows[key]) and _same(values(line, "high"), highs[key])
    (total,) = read(clickhouse, Query("A", "gauge", by=(), across="sum"), MINUTE)
    assert (bytes(total.low), bytes(total.high)) == (b"null", b"null")


def growth(rows: list[Sample], step_s: int = STEP_S) -> Values:
    """A counter's growth a second in each bucket, by the samples in it and the last one before."""
    gained: dict[int, float] = defaultdict(float)
    lasted: dict[int, float] = defaultdict(float)
    ordered = sorted(rows)
    for (before_s, before), (ts, value) in pairwise(ordered):
        slot = int(ts - START_S) // step_s
        gained[slot] += value - before if value >= before else value
        lasted[slot] += ts - before_s
    return [gained[n] / lasted[n] if lasted[n] else None for n in range(HOURS * 3_600 // step_s)]


@pytest.mark.parametrize("tier", [RAW, MINUTE], ids=lambda tier: tier.name)
@pytest.mark.parametrize("step_s", [60, 300, STEP_S])
def test_rates_pass_over_resets(stored: tuple[ClickHouse, Series, Series], step_s: int, tier: Resolution) -> None:
    clickhouse, _, counters = stored
    found = by_labels(read(clickhouse, Query("A", "counter", over="rate"), tier, step_s))
    expected = {keyed(*key): growth(rows, step_s) for key, rows in counters.items()}
    if tier is MINUTE:  # the growth within the first minute of all is seen by samples alone
        for shown in (*found.values(), *expected.values()):
            shown[0] = None
    assert close(found, expected)


def test_an_hour_that_falls_once_has_its_whole_growth(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, *_ = stored
    rows = [(START_S + n * 60.0, float(n * 10 if n < 90 else (n - 90) * 10)) for n in range(240)]
    _insert(clickhouse, MINE, "falls.once", {("n", ""): rows})
    found = by_labels(read(clickhouse, Query("A", "falls.once", over="rate"), HOUR))[keyed("n", "")]
    assert _same(found[2:], growth(rows)[2:])
    assert math.isclose(found[1] or 0, growth(rows)[1] or 0, rel_tol=1e-9)


def test_rates_add_up_across_series(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, _, counters = stored
    found = by_labels(read(clickhouse, Query("A", "counter", over="rate", by=("node",), across="sum")))
    expected = folded({keyed(*key): growth(rows) for key, rows in counters.items()}, ("node",), "sum")
    assert close(found, expected)


MATCHES: list[tuple[tuple[str, ...], Callable[[Mapping[str, str]], bool]]] = [
    (("node=web-1",), lambda labels: labels["node"] == "web-1"),
    (("node!=web-1",), lambda labels: labels["node"] != "web-1"),
    (("node=~web-.*",), lambda labels: labels["node"].startswith("web-")),
    (("node=~web",), lambda labels: False),
    (("node=~web-1|db-1",), lambda labels: labels["node"] in ("web-1", "db-1")),
    (("node!~.*[.].*",), lambda labels: "." not in labels["node"]),
    (("core=1",), lambda labels: labels.get("core") == "1"),
    (("core!=1",), lambda labels: labels.get("core") != "1"),
    (("core=",), lambda labels: "core" not in labels),
    (("core=~.+",), lambda labels: "core" in labels),
    (("core!~0|1",), lambda labels: labels.get("core") not in ("0", "1")),
    (('odd="a=\\"b\\",core=\\"7\\""',), lambda labels: labels.get("odd") == 'a="b",core="7"'),
    (("core=7",), lambda labels: False),
    (("odd=it's \\ ü",), lambda labels: labels.get("odd") == "it's \\ ü"),
    (("odd=~it's.*",), lambda labels: labels.get("odd", "").startswith("it's")),
    (
        ("core=1", "node=web-2", "odd="),
        lambda labels: (labels.get("core"), labels["node"], "odd" in labels) == ("1", "web-2", False),
    ),
    (("node=x' OR 1=1 --",), lambda labels: False),
    (("odd={account:UUID}",), lambda labels: False),
]


@pytest.mark.parametrize(("match", "holds"), MATCHES, ids=[" ".join(match) for match, _ in MATCHES])
@pytest.mark.parametrize("tier", [RAW, HOUR], ids=lambda tier: tier.name)
def test_matchers_choose_series(
    stored: tuple[ClickHouse, Series, Series],
    match: tuple[str, ...],
    holds: Callable[[Mapping[str, str]], bool],
    tier: Resolution,
) -> None:
    clickhouse, gauges, _ = stored
    expected = {key: found for key, found in resampled(gauges, "avg").items() if holds(query.labels_of(key))}
    asked = Query("A", "gauge", match=match)
    assert close(by_labels(read(clickhouse, asked, tier)), expected)
    assert query.count_lines(clickhouse, MINE, asked, Cut(plan(tier)))[0] == len(expected)


def whole(series: Series, over: str) -> dict[str, float]:
    return {keyed(*key): OVERS[over]([value for _, value in sorted(rows)]) for key, rows in series.items()}


def largest(worth: Mapping[str, float], count: int) -> set[str]:
    return set(sorted(worth, key=lambda key: -worth[key])[:count])


@pytest.mark.parametrize("tier", [RAW, MINUTE, HOUR], ids=lambda tier: tier.name)
@pytest.mark.parametrize("over", ["avg", "max", "last", "sum"])
def test_the_largest_series(stored: tuple[ClickHouse, Series, Series], over: Any, tier: Resolution) -> None:
    clickhouse, gauges, _ = stored
    expected = {key: resampled(gauges, over)[key] for key in largest(whole(gauges, over), 3)}
    assert close(by_labels(read(clickhouse, Query("A", "gauge", over=over, top=3), tier)), expected)


@pytest.mark.parametrize("by", [("node",), ("core",), ("core", "node")], ids=str)
def test_the_largest_groups(stored: tuple[ClickHouse, Series, Series], by: tuple[str, ...]) -> None:
    clickhouse, gauges, _ = stored
    worth = folded({key: [value] for key, value in whole(gauges, "max").items()}, by, "sum")
    expected = folded(resampled(gauges, "max"), by, "sum")
    chosen = largest({key: found[0] or 0 for key, found in worth.items()}, 2)
    found = by_labels(read(clickhouse, Query("A", "gauge", over="max", by=by, across="sum", top=2)))
    assert close(found, {key: expected[key] for key in chosen})


def test_the_fastest_counter(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, _, counters = stored
    worth = {keyed(*key): growth(rows, HOURS * 3_600)[0] or 0 for key, rows in counters.items()}
    found = by_labels(read(clickhouse, Query("A", "counter", over="rate", top=1)))
    assert found.keys() == largest(worth, 1)


def test_more_lines_than_may_be_are_the_largest(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, gauges, _ = stored
    found = query.read(clickhouse, MINE, Query("A", "gauge"), Cut(plan(HOUR)), 4)
    assert by_labels(found.lines).keys() == largest(whole(gauges, "avg"), 4)
    assert found.count == len(gauges)


def test_a_comparison_shows_the_past_of_what_is_on_top_now(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, gauges, _ = stored
    now = Plan(RAW, 1_800, START_S + 7_200, START_S + 14_400)
    found = query.read(clickhouse, MINE, Query("A", "gauge", over="max", top=2), Cut(now, back_s=7_200), 100).lines
    late = {
        key: max(value for ts, value in rows if ts >= START_S + 7_200)
        for key, rows in gauges.items()
        if rows[-1][0] >= START_S + 7_200
    }
    assert by_labels(found).keys() == largest({keyed(*key): value for key, value in late.items()}, 2)
    for key, shown in by_labels(found).items():
        assert _same(shown, resampled(gauges, "max", 1_800)[key][:4])


@pytest.mark.parametrize("over", [*OVERS, "rate"])
@pytest.mark.parametrize(
    ("by", "top", "match"),
    [
        (None, None, ()),
        (("node",), 1, ("node!=x'\\y",)),
        (("core", "node"), 2, ("odd!~it's.*",)),
        ((), 1, ()),
        (None, 2, ("core=~[01]",)),
    ],
    ids=str,
)
@pytest.mark.parametrize("tier", [RAW, HOUR], ids=lambda tier: tier.name)
def test_sql_for_people_gives_the_same(
    stored: tuple[ClickHouse, Series, Series],
    by: tuple[str, ...] | None,
    top: int | None,
    match: tuple[str, ...],
    over: Any,
    tier: Resolution,
) -> None:
    clickhouse, *_ = stored
    asked = Query("A", "counter" if over == "rate" else "gauge", over=over, by=by, top=top, match=match)
    expected = by_labels(read(clickhouse, asked, tier))
    text = query.for_people(MINE, asked, Cut(plan(tier)), top)
    assert not any(mark in text for mark in ("/*", "{"))
    found: dict[str, Values] = {key: [None] * HOURS for key in expected}
    for *keys, ts, value, _low, _high in clickhouse.query(text).result_rows:
        names = by if by is not None else ("node",)
        labels = {name: key for name, key in zip(names, keys, strict=False) if key}
        key = labelset(labels) if by is not None else keyed(keys[0], keys[1])
        found[key][(int(ts.timestamp()) - START_S) // STEP_S] = None if math.isnan(value) else value
    assert close(found, expected)


def test_sql_for_people_has_percentiles(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, gauges, _ = stored
    asked = Query("A", "gauge", over="p90", by=("node",), across="p50")
    rows = clickhouse.query(query.for_people(MINE, asked, Cut(plan(RAW)), 2)).result_rows
    expected = folded(resampled(gauges, "p90"), ("node",), "p50")
    assert len({node for node, *_ in rows}) == 2
    for node, ts, value, *_ in rows:
        there = expected[labelset({"node": node})][(int(ts.timestamp()) - START_S) // STEP_S]
        assert there is not None and math.isclose(value, there, rel_tol=1e-9)


def test_what_would_not_fit_into_memory_is_refused(
    stored: tuple[ClickHouse, Series, Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    clickhouse, gauges, _ = stored
    monkeypatch.setattr(query, "CELLS_MAX", len(gauges) * HOURS - 1)
    with pytest.raises(InvalidQuery, match="fewer of them"):
        read(clickhouse, Query("A", "gauge", by=()))
    assert len(read(clickhouse, Query("A", "gauge", top=1))) == 1


def test_one_account_never_reads_another(stored: tuple[ClickHouse, Series, Series]) -> None:
    clickhouse, *_ = stored
    for asked in (
        Query("A", "gauge"),
        Query("A", "gauge", match=("node=canary",)),
        Query("A", "gauge", match=("x!=y",), by=("node", "x"), top=1),
        Query("A", "gauge", top=1),
    ):
        assert "canary" not in str(read(clickhouse, asked))
        assert "canary" in str(query.read(clickhouse, THEIRS, asked, Cut(plan(RAW)), 100).lines)
