"""What judging conditions costs, and how soon it says something: many conditions over many nodes that report.

Each condition is about one node, as people make them by the dozen: the hardest for an engine that asks once for many.
Lag is how long a condition could have been judged and was not; the delay runs from when a sample that crosses the
limit is sent to when its transition is in the control DB. Evaluation waits ticks.LAG_S on purpose, which is part of it.
"""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import Engine, select

from bench.platform import Platform
from bench.report import Report
from domain.condition_specs import MetricRule, Spec
from domain.ids import AccountId
from domain.query import Query
from schema import conditions, statuses, watermarks
from schema.control.engine import open_control
from schema.control.tables import accounts

NODES, METRICS = 1_000, 10
SECONDS = 60
CROSSINGS = 20
SEND_EVERY_S = 10
LIMIT = 90.0


@dataclass(frozen=True)
class Size:
    """How many conditions, and how often each is judged."""

    conditions: int
    every_s: int

    @property
    def name(self) -> str:
        return f"{self.conditions:,} conditions every {self.every_s} s"


SIZES = (Size(1_000, 10), Size(5_000, 30))
HURRIED = Size(1, 2)


def measure(report: Report) -> None:
    """The cost of each size over that of the same platform without conditions, then the delay of one that hurries."""
    for size in SIZES:
        with Platform() as platform:
            control = open_control(f"sqlite:///{platform.data}/control.db")
            sender = _Sender(platform)
            with sender:
                bare = _cpu_s(platform)
                account_id = _make(control, size)
                _cost(report, platform, control, size, bare)
                if size == SIZES[0]:
                    _delays(report, control, account_id, sender)
            control.dispose()


class _Sender:
    """All nodes, each reporting every SEND_EVERY_S in batches of a tenth of them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Sender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def send(self, nodes: range, value: float, metric: str | None = None) -> None:
        """These nodes report now."""
        names = [metric] if metric else [f"load.m{n}" for n in range(METRICS)]
        now_s = time.time()
        body = [{"node": f"node-{n:04}", "ts": now_s, "metrics": dict.fromkeys(names, value)} for n in nodes]
        answer = self._platform.client.post(
            "/api/v1/snapshots", content=msgspec.json.encode(body), headers={"content-type": "application/json"}
        )
        answer.raise_for_status()

    def _run(self) -> None:
        share = NODES // SEND_EVERY_S
        turn = 0
        while not self._stopping.wait(1.0):
            begin = turn % SEND_EVERY_S * share
            self.send(range(begin, begin + share), 20.0)
            turn += 1


def _make(control: Engine, size: Size) -> AccountId:
    """Conditions spread over nodes and metrics."""
    with control.connect() as conn:
        account_id = AccountId(conn.execute(select(accounts.c.id)).scalar_one())
    now = datetime.now(UTC)
    for number in range(size.conditions):
        query = Query("A", f"load.m{number // NODES % METRICS}", (f"node=node-{number % NODES:04}",), by=("node",))
        rule = MetricRule(query, 60, size.every_s, ">", LIMIT)
        conditions.create(control, account_id, f"load {number}", Spec(rule), now)
    return account_id


def _cpu_s(platform: Platform) -> dict[str, float]:
    """By piece, CPU seconds a second over a while."""
    before, began = platform.family.cpu_by_piece_s(), time.monotonic()
    time.sleep(SECONDS / 2)
    took_s = time.monotonic() - began
    return {piece: (cpu - before.get(piece, 0.0)) / took_s for piece, cpu in platform.family.cpu_by_piece_s().items()}


def _cost(report: Report, platform: Platform, control: Engine, size: Size, bare: dict[str, float]) -> None:
    time.sleep(2 * size.every_s)
    before, began = platform.family.cpu_by_piece_s(), time.monotonic()
    lags = []
    while time.monotonic() - began < SECONDS:
        lags.append(watermarks.lag_s(control, datetime.now(UTC)))
        time.sleep(0.2)
    took_s = time.monotonic() - began
    after = platform.family.cpu_by_piece_s()
    lags.sort()
    report.figure(f"{size.name}: lag p50", statistics.median(lags), "s")
    report.figure(f"{size.name}: lag p99", lags[int(len(lags) * 0.99)], "s", "≤ 10")
    for piece in ("worker", "engine", "scheduler"):
        spent = (after.get(piece, 0.0) - before.get(piece, 0.0)) / took_s - bare.get(piece, 0.0)
        report.figure(f"{size.name}: CPU of {piece}, a tick", spent * size.every_s * 1_000, "ms")
        report.figure(f"{size.name}: CPU of {piece}", spent * 100, "% of a core")


def _delays(report: Report, control: Engine, account_id: AccountId, sender: _Sender) -> None:
    """One more condition, judged every 2 s and held for nothing, beside all the others."""
    rule = MetricRule(Query("A", "load.crossing", over="last"), 10, HURRIED.every_s, ">", LIMIT)
    made = conditions.create(control, account_id, "crossing", Spec(rule), datetime.now(UTC))
    took = []
    for turn in range(CROSSINGS):
        took.append(_until(control, account_id, made.id, True, lambda: sender.send(range(1), 99.0, "load.crossing")))
        _until(control, account_id, made.id, False, lambda: sender.send(range(1), 1.0, "load.crossing"))
        time.sleep(0.37 * (turn % 5))
    took.sort()
    report.figure("crossing sample to recorded transition p50", statistics.median(took), "s")
    report.figure("crossing sample to recorded transition p95", took[int(len(took) * 0.95)], "s", "≤ 5")


def _until(control: Engine, account_id: AccountId, condition_id: UUID, fires: bool, send: Callable[[], None]) -> float:
    send()
    began = time.monotonic()
    while time.monotonic() - began < 60:
        if any(row.condition_id == condition_id for row in statuses.list_for(control, account_id)) == fires:
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError("nothing came of it")
