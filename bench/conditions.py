"""What judging conditions costs, and how soon somebody is told: many conditions over many nodes, beside a steady load.

Each condition is about one node, as people make them by the dozen: the hardest for an engine that asks once for many.
Lag is how long a condition could have been judged and was not. The delay runs from when a sample that crosses the limit
is sent to when its transition is in the control DB, and on to when a webhook has come to its receiver. Evaluation waits
ticks.LAG_S on purpose, and a message a second for others of its group: both are part of it.
"""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import Engine, select

from bench.platform import Platform
from bench.report import Report
from domain import own_account
from domain.condition_specs import MetricRule, Spec
from domain.ids import AccountId
from domain.query import Query
from domain.settings import Settings
from schema import conditions, statuses, watermarks
from schema.control.engine import open_control
from schema.control.tables import accounts
from tests.notices import House
from tests.receiver import Receiver, receiving

NODES, METRICS = 1_000, 10
SEND_EVERY_S = 10
LIMIT = 90.0
CROSSING = "load.crossing"
SNAPSHOTS_PER_BODY = 1_000
WITHIN_S = 60.0


@dataclass(frozen=True)
class Size:
    """How many conditions, how often each is judged, beside how many samples a second; how long that is looked at."""

    conditions: int
    every_s: int
    samples_per_s: int
    seconds: int
    crossings: int

    @property
    def name(self) -> str:
        beside = f" beside {self.samples_per_s:,} samples/s" if self.samples_per_s else ""
        return f"{self.conditions:,} conditions every {self.every_s} s{beside}"


FULL = (Size(1_000, 10, 0, 60, 30), Size(5_000, 30, 0, 90, 0), Size(5_000, 30, 100_000, 120, 30))
QUICK = (Size(200, 10, 10_000, 12, 3),)
"""To see that it runs."""
HURRIED_EVERY_S = 2
SETTLES_S = 20
"""How long the start of a platform spends more than it does later."""


def measure(report: Report, sizes: Sequence[Size] = FULL) -> None:
    """What each size costs, what the same platform costs without conditions, and the delay of one that hurries."""
    for size in sizes:
        with Platform(settings={"METRIST_EGRESS_ALLOW": "127.0.0.1"}) as platform, receiving() as receiver:
            control = open_control(f"sqlite:///{platform.data}/control.db")
            with _Sender(platform, size).sending() as sender:
                time.sleep(min(SETTLES_S, size.seconds))
                bare = _cpu_s(platform, size.seconds / 2)
                account_id = _make(control, size)
                _cost(report, platform, control, size, bare)
                if size.crossings:
                    _delays(report, control, account_id, sender, receiver)
                sender.told(report)
            control.dispose()


def measure_quickly(report: Report) -> None:
    """The same in half a minute, to see that it runs; its figures are worth nothing."""
    measure(report, QUICK)


class _Sender:
    """All nodes, each reporting every SEND_EVERY_S in batches of a tenth of them; and others that make the load."""

    def __init__(self, platform: Platform, size: Size) -> None:
        self._platform = platform
        self.size = size
        self._stopping = threading.Event()
        self._samples, self._began_s = 0, time.monotonic()

    @contextmanager
    def sending(self) -> Iterator["_Sender"]:
        threads = [threading.Thread(target=self._report), threading.Thread(target=self._load)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def send(self, nodes: range, value: float, metric: str | None = None) -> None:
        """These nodes report now."""
        names = [metric] if metric else [f"load.m{n}" for n in range(METRICS)]
        self._post([f"node-{n:04}" for n in nodes], dict.fromkeys(names, value))

    def told(self, report: Report) -> None:
        """What of the load was taken."""
        if self.size.samples_per_s:
            per_s = self._samples / (time.monotonic() - self._began_s)
            report.figure(f"{self.size.name}: samples taken beside it", per_s, "samples/s")

    def _report(self) -> None:
        share = NODES // SEND_EVERY_S
        turn = 0
        while not self._stopping.wait(1.0):
            begin = turn % SEND_EVERY_S * share
            self.send(range(begin, begin + share), 20.0)
            turn += 1

    def _load(self) -> None:
        """Bodies of 10,000 samples on a schedule that does not wait for slow answers, but sends no two at once."""
        if not self.size.samples_per_s:
            return
        names = [f"host-{n}" for n in range(SNAPSHOTS_PER_BODY)]
        due_s, turn = time.monotonic(), 0
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            self._post(names, {f"cpu.f{field}": field + turn % 7 for field in range(METRICS)})
            self._samples += SNAPSHOTS_PER_BODY * METRICS
            due_s += SNAPSHOTS_PER_BODY * METRICS / self.size.samples_per_s
            turn += 1

    def _post(self, nodes: Sequence[str], metrics: dict[str, float]) -> None:
        now_s = time.time()
        body = msgspec.json.encode([{"node": node, "ts": now_s, "metrics": metrics} for node in nodes])
        headers = {"content-type": "application/json"}
        self._platform.client.post("/api/v1/snapshots", content=body, headers=headers).raise_for_status()


def _make(control: Engine, size: Size) -> AccountId:
    """Conditions spread over nodes and metrics."""
    with control.connect() as conn:
        account_id = AccountId(
            conn.execute(select(accounts.c.id).where(accounts.c.id != own_account.ACCOUNT)).scalar_one()
        )
    now = datetime.now(UTC)
    for number in range(size.conditions):
        query = Query("A", f"load.m{number // NODES % METRICS}", (f"node=node-{number % NODES:04}",), by=("node",))
        rule = MetricRule(query, 60, size.every_s, ">", LIMIT)
        conditions.create(control, account_id, f"load {number}", Spec(rule), now)
    return account_id


def _cpu_s(platform: Platform, seconds: float) -> dict[str, float]:
    """By piece, CPU seconds a second over a while."""
    before, began = platform.family.cpu_by_piece_s(), time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began
    return {piece: (cpu - before.get(piece, 0.0)) / took_s for piece, cpu in platform.family.cpu_by_piece_s().items()}


def _cost(report: Report, platform: Platform, control: Engine, size: Size, bare: dict[str, float]) -> None:
    time.sleep(2 * size.every_s)
    before, began = platform.family.cpu_by_piece_s(), time.monotonic()
    lags = []
    while time.monotonic() - began < size.seconds:
        lags.append(watermarks.lag_s(control, datetime.now(UTC)))
        time.sleep(0.2)
    took_s = time.monotonic() - began
    after = platform.family.cpu_by_piece_s()
    lags.sort()
    report.figure(f"{size.name}: lag p50", statistics.median(lags), "s")
    report.figure(f"{size.name}: lag p99", lags[int(len(lags) * 0.99)], "s", "≤ 10")
    for piece in ("worker", "engine", "scheduler"):
        spent = (after.get(piece, 0.0) - before.get(piece, 0.0)) / took_s
        report.figure(f"{size.name}: CPU of {piece}", spent * 100, "% of a core")
        report.figure(f"{size.name}: CPU of {piece} without conditions", bare.get(piece, 0.0) * 100, "% of a core")
    each = (after.get("worker", 0.0) - before.get("worker", 0.0)) / took_s
    report.figure(f"{size.name}: CPU of worker, an evaluation", each * size.every_s / size.conditions * 1e6, "µs")


def _delays(report: Report, control: Engine, account_id: AccountId, sender: _Sender, receiver: Receiver) -> None:
    """One more condition, judged every 2 s and held for nothing, beside all the others; and a webhook for all.

    Each time another node crosses it: one that did again and again would be said to flap, and be told of later.
    """
    House(control, account_id, Settings(_env_file=None)).webhook(receiver.url)
    rule = MetricRule(Query("A", CROSSING, by=("node",), over="last"), 10, HURRIED_EVERY_S, ">", LIMIT)
    made = conditions.create(control, account_id, "crossing", Spec(rule), datetime.now(UTC))
    recorded, told = [], []
    for turn in range(sender.size.crossings):
        began = time.monotonic()
        sender.send(range(turn, turn + 1), 99.0, CROSSING)
        recorded.append(_until_recorded(control, account_id, made.id, began, fires=True))
        told.append(_until_told(receiver, "firing", 2 * turn + 1) - began)
        sender.send(range(turn, turn + 1), 1.0, CROSSING)
        _until_recorded(control, account_id, made.id, time.monotonic(), fires=False)
        _until_told(receiver, "resolved", 2 * turn + 2)
        time.sleep(0.37 * (turn % 5))
    for name, took, aim in (("recorded transition", recorded, ""), ("webhook received", told, "≤ 5")):
        took.sort()
        report.figure(f"{sender.size.name}: crossing sample to {name} p50", statistics.median(took), "s")
        report.figure(f"{sender.size.name}: crossing sample to {name} p95", took[int(len(took) * 0.95)], "s", aim)


def _until_recorded(control: Engine, account_id: AccountId, condition_id: UUID, began: float, *, fires: bool) -> float:
    while time.monotonic() - began < WITHIN_S:
        if any(row.condition_id == condition_id for row in statuses.list_for(control, account_id)) == fires:
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError("nothing came of it")


def _until_told(receiver: Receiver, kind: str, count: int) -> float:
    """When the last of so many messages came, on the monotonic clock."""
    came = receiver.wait_for(count, WITHIN_S)[count - 1]
    assert came.json["data"]["notices"][0]["kind"] == kind
    return came.at_s
