"""A storm of transitions while every process is killed: who is to be told is told, in order, and at least once."""

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, groupby
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Engine, func, select

from domain.condition_specs import MetricRule, Spec
from domain.ids import AccountId
from domain.query import Query
from domain.settings import Settings
from schema import conditions, routes
from schema.control import tables
from schema.control.engine import open_control, reading
from tests.e2e.platforms import Platform
from tests.notices import House
from tests.receiver import Receiver, receiver

__all__ = ["receiver"]
METRIC, STATUS = "storm.value", "storm"
CALM, WILD = 1.0, 99.0
ANSWERS_AFTER_S = 0.08
"""So that there is always something under way to whoever is killed."""
FIRING, OVER = "firing", "resolved"


@dataclass(frozen=True)
class Size:
    """How many transitions in all; over how long they begin, and how often something is killed meanwhile."""

    transitions: int
    begin_over_s: float
    kill_every_s: float
    within_s: float

    @property
    def nodes(self) -> int:
        """Each fires and is ok again."""
        return self.transitions // 2


SHORT = Size(100, 5, 1.5, 90)
LONG = Size(1_000, 60, 3.0, 420)


@dataclass
class Weather:
    """Nodes that go wild one after the other and calm again: one half sends a metric, the other reports a status.

    fired  asks which nodes have been seen to be wild; until then they stay so, as real fires do
    """

    platform: Platform
    size: Size
    fired: Callable[[], set[str]]
    stop: threading.Event = field(default_factory=threading.Event)
    began_s: float = field(default_factory=time.monotonic)
    refused: list[str] = field(default_factory=list)

    @property
    def is_begun(self) -> bool:
        """Whether all of them have gone wild."""
        return time.monotonic() - self.began_s > self.size.begin_over_s

    @contextmanager
    def blowing(self) -> Iterator["Weather"]:
        threads = [threading.Thread(target=work) for work in (self._measure, self._report)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def is_wild(self, number: int) -> bool:
        return time.monotonic() - self.began_s >= self.size.begin_over_s * number / self.size.nodes

    def _measure(self) -> None:
        """All that measure, each second, as agents do: what was not taken is sent again with what follows."""
        waiting: list[dict[str, Any]] = []
        while not self.stop.wait(1.0):
            now_s, fired = time.time(), self.fired()
            for n in range(0, self.size.nodes, 2):
                node = f"metric-{n}"
                value = WILD if self.is_wild(n) and node not in fired else CALM
                waiting.append({"node": node, "ts": now_s, "metrics": {METRIC: value}})
            if self._post("/api/v1/snapshots", waiting):
                waiting = []

    def _report(self) -> None:
        """Each change of a status, until it is taken."""
        done: set[tuple[str, str]] = set()
        while not self.stop.wait(0.2):
            fired = self.fired()
            for n in range(1, self.size.nodes, 2):
                node, state = f"report-{n}", "ok" if f"report-{n}" in fired else "critical"
                if self.is_wild(n) and (node, state) not in done:
                    told = {"name": STATUS, "state": state, "message": "a storm"}
                    if self._post("/api/v1/statuses", {"node": node, "statuses": [told]}):
                        done.add((node, state))

    def _post(self, path: str, body: object) -> bool:
        headers = {"Authorization": f"Bearer {self.platform.key}"}
        try:
            answer = httpx.post(self.platform.url + path, json=body, headers=headers, timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        if 400 <= answer.status_code < 500:
            self.refused.append(answer.text)
        return answer.is_success


@dataclass
class Desk:
    """The account's control DB, looked into from beside the platform."""

    control: Engine
    account_id: AccountId

    def fired(self) -> set[str]:
        """Nodes of which it is recorded that they fired."""
        moved = select(tables.events.c.payload).where(tables.events.c.type == "status_moved")
        with reading(self.control) as conn:
            return {payload["labels"]["node"] for payload in conn.scalars(moved) if payload["to"] == FIRING}

    def stories(self) -> dict[str, list[str]]:
        """By status, the states that it came to."""
        moved = select(tables.events).where(tables.events.c.type.in_(["status_moved", "status_ended"]))
        found: dict[str, list[str]] = defaultdict(list)
        with reading(self.control) as conn:
            for event in conn.execute(moved.order_by(tables.events.c.seq)):
                found[event.stream].append(event.payload.get("to", "ended"))
        return found

    def deliveries(self) -> Sequence[Any]:
        with reading(self.control) as conn:
            return conn.execute(select(tables.deliveries).order_by(tables.deliveries.c.created_at)).all()

    def owed(self) -> int:
        rows = tables.deliveries
        with reading(self.control) as conn:
            return conn.scalar(select(func.count()).select_from(rows).where(rows.c.state == "owed")) or 0


def prepare(platform: Platform, receiver: Receiver) -> Desk:
    """A channel, a message for each status, and a condition for those that measure."""
    control = open_control(platform.settings()["METRIST_DATABASE_URL"])
    with reading(control) as conn:
        account_id = AccountId(conn.execute(select(tables.accounts.c.id)).scalar_one())
    house = House(
        control, account_id, Settings(_env_file=None, secret_key=platform.settings().get("METRIST_SECRET_KEY", ""))
    )
    hook = house.webhook(receiver.url)
    way = routes.Draft((), (hook.id,), group_by=("condition", "node"), group_wait_s=0)
    now = datetime.now(UTC)
    routes.create(control, account_id, way, now, actor="user/test")
    rule = MetricRule(Query("A", METRIC, by=("node",), over="last"), 10, 2, ">", 50.0)
    conditions.create(control, account_id, "wild", Spec(rule), now)
    return Desk(control, account_id)


def kill_worker_while_it_sends(platform: Platform, receiver: Receiver) -> None:
    """What it was sending is lost to it, and sent again by another."""
    count = len(receiver.received)
    deadline = time.monotonic() + 10
    while len(receiver.received) == count and time.monotonic() < deadline:
        time.sleep(0.005)
    kill(platform, "worker")


def kill(platform: Platform, piece: str) -> None:
    with suppress(ProcessLookupError):
        pid = platform.child_pid(piece)
        if pid:
            os.kill(pid, signal.SIGKILL)


def flush(platform: Platform) -> None:
    with suppress(redis.RedisError), redis.Redis.from_url(platform.settings()["METRIST_REDIS_URL"]) as client:
        client.flushall()


def disturb(platform: Platform, receiver: Receiver, weather: Weather) -> int:
    """Kill one piece after the other while it blows; returns how often."""
    acts: Sequence[Callable[[], None]] = (
        lambda: kill_worker_while_it_sends(platform, receiver),
        lambda: flush(platform),
        lambda: kill(platform, "scheduler"),
        lambda: kill(platform, "valkey"),
        lambda: kill(platform, "api"),
    )
    receiver.wait_for(1, 30)
    for done, act in enumerate(cycle(acts)):
        if weather.is_begun and done >= len(acts):
            return done
        act()
        time.sleep(weather.size.kill_every_s)
    raise AssertionError


@pytest.mark.parametrize(
    "size",
    [pytest.param(SHORT, id="100"), pytest.param(LONG, id="1000", marks=pytest.mark.long)],
)
def test_every_delivery_owed_in_a_storm_arrives(start: Callable[..., Platform], receiver: Receiver, size: Size) -> None:
    platform = start(env={"METRIST_EGRESS_ALLOW": "127.0.0.1"})
    desk = prepare(platform, receiver)
    receiver.delay_s = ANSWERS_AFTER_S
    began_s = time.monotonic()
    with Weather(platform, size, desk.fired).blowing() as weather:
        kills = disturb(platform, receiver, weather)
        until(lambda: is_calm(desk, size), began_s + size.within_s, lambda: unsettled(desk))
        until(lambda: desk.owed() == 0, began_s + size.within_s, lambda: f"{desk.owed()} are owed still")
    assert weather.refused == []
    stories, rows = desk.stories(), desk.deliveries()
    assert {tuple(story) for story in stories.values()} == {("firing", "ok")}
    assert sum(map(len, stories.values())) == size.transitions
    assert {row.state for row in rows} <= {"sent", "superseded"}
    assert {row.stream for row in rows if (row.kind, row.state) == (OVER, "sent")} == set(stories)
    judge(receiver, rows)
    twins = len(receiver.received) - sum(row.state == "sent" for row in rows)
    told = f"{len(receiver.received)} messages, {twins} of them twins, {time.monotonic() - began_s:.0f} s"
    print(f"{size.transitions} transitions, {kills} disturbances, {told}")


def judge(receiver: Receiver, rows: Sequence[Any]) -> None:
    """What came, against what was owed."""
    came: dict[str, list[tuple[str, str]]] = defaultdict(list)
    ids: dict[str, set[str]] = defaultdict(set)
    for message in receiver.received:
        for notice in message.json["data"]["notices"]:
            came[notice["incident"]].append((notice["kind"], notice["id"]))
            ids[notice["id"]].add(message.headers["webhook-id"])
    assert {str(row.id) for row in rows if row.state == "sent"} <= ids.keys(), "each that is called sent has arrived"
    assert {delivery: one for delivery, one in ids.items() if len(one) > 1} == {}, "twins carry the same id"
    orders = {incident: [kind for kind, _ in groupby(kind for kind, _ in told)] for incident, told in came.items()}
    wrong = {incident: order for incident, order in orders.items() if order not in ([FIRING, OVER], [OVER])}
    assert wrong == {}, "what happened first is told first"
    twins = sum(len(told) - len(set(told)) for told in came.values())
    unheard = ids.keys() & {str(row.id) for row in rows if row.state == "superseded"}
    assert twins or unheard, "nobody was killed while sending: this storm has proved nothing"


def is_calm(desk: Desk, size: Size) -> bool:
    """Whether each node has fired and is over it."""
    stories = desk.stories()
    return len(stories) == size.nodes and all(story[-1] == "ok" for story in stories.values())


def unsettled(desk: Desk) -> str:
    stories = desk.stories()
    return f"{len(stories)} statuses; unsettled: { {key: one for key, one in stories.items() if one[-1] != 'ok'} }"


def until(is_so: Callable[[], bool], deadline_s: float, why: Callable[[], object]) -> None:
    while not is_so():
        assert time.monotonic() < deadline_s, why()
        time.sleep(0.2)
