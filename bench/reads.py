"""TSBS-like reads over HTTP, through GET /api/v1/series and VictoriaMetrics' query_range."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from bench.report import Report
from bench.workload import FIELDS, START_S, W1

HOUR_S = 3_600
TRIES = 15
WARM_UP = 3
EIGHT = [f"host_{number}" for number in range(10, 18)]


@dataclass(frozen=True)
class Question:
    """One read in both languages; `series` is how many the answer must hold."""

    name: str
    parameters: dict[str, Any]
    promql: str
    step_s: int
    hours: float
    series: int
    aim: str = ""


def _ours(metrics: list[str], nodes: list[str] | None, hours: float, **more: Any) -> dict[str, Any]:
    end_s = START_S + 23 * HOUR_S
    chosen = {"metric": [f"cpu.{name}" for name in metrics], "from": end_s - hours * HOUR_S, "to": end_s}
    return chosen | ({"node": nodes} if nodes else {}) | more


_HOSTS = "|".join(EIGHT)
_FIVE = list(FIELDS[:5])
SINGLE = "≤ 10"
QUESTIONS = (
    Question("single-groupby-1-1-1", _ours(["usage_user"], ["host_10"], 1, step=60),
             'avg_over_time(cpu_usage_user{hostname="host_10"}[1m])', 60, 1, 1, SINGLE),
    Question("single series 5 m raw", _ours(["usage_user"], ["host_10"], 1 / 12, points=600),
             'cpu_usage_user{hostname="host_10"}', 10, 1 / 12, 1, SINGLE),
    Question("single series 12 h", _ours(["usage_user"], ["host_10"], 12, points=600),
             'avg_over_time(cpu_usage_user{hostname="host_10"}[2m])', 120, 12, 1, SINGLE),
    Question("single series 23 h", _ours(["usage_user"], ["host_10"], 23, points=600),
             'avg_over_time(cpu_usage_user{hostname="host_10"}[5m])', 300, 23, 1, SINGLE),
    Question("single-groupby-5-8-1", _ours(_FIVE, EIGHT, 1, step=60),
             f'avg_over_time({{__name__=~"cpu_({"|".join(_FIVE)})",hostname=~"{_HOSTS}"}}[1m])', 60, 1, 40),
    Question("cpu-max-all-8", _ours(list(FIELDS), EIGHT, 8, step=HOUR_S, agg="max"),
             f'max_over_time({{__name__=~"cpu_.*",hostname=~"{_HOSTS}"}}[1h])', HOUR_S, 8, 80),
    Question("double-groupby-1", _ours(["usage_user"], None, 12, step=HOUR_S),
             "avg_over_time(cpu_usage_user[1h])", HOUR_S, 12, 100),
    Question("double-groupby-all", _ours(list(FIELDS), None, 12, step=HOUR_S),
             'avg_over_time({__name__=~"cpu_.*"}[1h])', HOUR_S, 12, 1_000, "≤ victoria"),
    Question("one metric, every host, 1 m, 23 h", _ours(["usage_user"], None, 23, step=60),
             "avg_over_time(cpu_usage_user[1m])", 60, 23, 100),
    Question("fleet average, 1 m, 23 h", _ours(["usage_user"], None, 23, step=60, across="avg"),
             "avg(avg_over_time(cpu_usage_user[1m]))", 60, 23, 1),
)  # fmt: skip


def ours(report: Report, client: httpx.Client) -> None:
    """Every question and the latest value of every series, medians."""
    for question in QUESTIONS:
        ask = _asker(client, "/api/v1/series", question.parameters)
        found = ask()["series"]
        assert len(found) == question.series, (question.name, len(found))
        report.figure(f"read metrist {question.name}", _median_ms(ask), "ms", question.aim)
    lastpoint = _asker(client, "/api/v1/metrics", {})
    assert len(lastpoint()["series"]) == W1.hosts * len(FIELDS)
    report.figure("read metrist lastpoint", _median_ms(lastpoint), "ms")


def victorias(report: Report, client: httpx.Client) -> None:
    """The same questions; its result cache is off, as ours does not exist."""
    end_s = START_S + 23 * HOUR_S
    for question in QUESTIONS:
        parameters = {
            "query": question.promql,
            "start": end_s - question.hours * HOUR_S + question.step_s,
            "end": end_s,
            "step": question.step_s,
            "nocache": 1,
        }
        ask = _asker(client, "/api/v1/query_range", parameters)
        found = ask()["data"]["result"]
        assert len(found) == question.series, (question.name, len(found))
        report.figure(f"read victoria {question.name}", _median_ms(ask), "ms")
        ours_, theirs = f"read metrist {question.name}", f"read victoria {question.name}"
        report.ratio(f"read ratio {question.name}", ours_, theirs, "≤ 1.0" if question.aim == "≤ victoria" else "")
    query = {"query": 'last_over_time({__name__=~"cpu_.*"}[12h])', "time": START_S + 24 * HOUR_S, "nocache": 1}
    report.figure("read victoria lastpoint", _median_ms(_asker(client, "/api/v1/query", query)), "ms")
    report.ratio("read ratio lastpoint", "read metrist lastpoint", "read victoria lastpoint", "")


def _asker(client: httpx.Client, path: str, parameters: dict[str, Any]) -> Callable[[], Any]:
    def ask() -> Any:
        answer = client.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    return ask


def _median_ms(ask: Callable[[], Any]) -> float:
    took = []
    for number in range(WARM_UP + TRIES):
        began = time.perf_counter()
        ask()
        if number >= WARM_UP:
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000
