"""What monitors cost a fleet: the check of each node's set with its ping, and how soon a push has come to all.

Agents hold their pings as real ones do, say which set they run, and fetch the signed one when they are told of another.
Nobody runs a script here; a push is measured from when every node is to run the new version, after its canaries, since
how long those take is how long their scripts do.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import redis
from sqlalchemy import Engine, select

from bench.agents import Channel, Fleet, Pings, Plan, Tally
from bench.platform import Platform
from bench.report import Report
from domain import own_account
from domain.ids import AccountId
from domain.monitors import Spec, Target
from domain.rollouts import Move, Stage
from schema import monitor_runs, monitors
from schema.control.engine import open_control
from schema.control.tables import accounts

AGENTS, MONITORS, PUSHES = 1_000, 20, 5
STEADY_S = 60
HEARD_WITHIN_S = 60
TOLD_WITHIN_S = 30
NEVER_S = 1e9
ACTOR = "user/bench"
SCRIPT = """\
for _, disk in ipairs(series("disk.used_percent")) do
  gauge("bench.room_percent", 100 - disk.value, {{ mount = disk.labels.mount }})
end
status("disks", "ok", "version {number}")
"""


class Fetches(Channel):
    """An agent's fetch of its set, on a connection of its own; it asks when it is told to."""

    def __init__(self, fleet: Fleet, agent: "Runs") -> None:
        plan = fleet.plan
        head = f"GET /api/v1/monitors?node={agent.name} HTTP/1.1\r\nHost: {plan.host}:{plan.port}\r\n"
        self.tally = Tally()
        super().__init__(fleet, f"{head}Authorization: Bearer {plan.key}\r\n".encode(), lambda: self.tally)
        self.agent = agent

    def body(self) -> tuple[bytes, float]:
        return b"", 0.0

    def heard(self, answer: bytes, held_s: float) -> float:
        self.agent.take(answer)
        return NEVER_S


class Runs(Pings):
    """An agent that runs monitors.

    told_at  when an answer told it of another set, monotonic s; `has_at` when it had fetched that
    """

    def __init__(self, fleet: Fleet, name: str) -> None:
        super().__init__(fleet, name)
        self.hash, self.told_at, self.has_at, self.bundle_bytes = "", 0.0, 0.0, 0
        self._fetches = Fetches(fleet, self)

    def about(self) -> dict[str, object]:
        return {"monitors": self.hash, "agent": {"version": "1", "monitors": ""}}

    def heard(self, answer: bytes, held_s: float) -> float:
        next_s = super().heard(answer, held_s)
        if not json.loads(answer).get("monitors"):
            return next_s
        self.told_at = time.monotonic()
        self._fetches.start(0.0)
        return NEVER_S  # till it is fetched

    def take(self, answer: bytes) -> None:
        """What was fetched runs from now on, and the next ping says so at once."""
        self.hash, self.has_at, self.bundle_bytes = json.loads(answer)["hash"], time.monotonic(), len(answer)
        self.start(0.0)

    def die(self) -> None:
        super().die()
        self._fetches.die()


def measure(report: Report, size: int = AGENTS, steady_s: float = STEADY_S) -> None:
    """A fleet before and after it has monitors, then pushes."""
    with Platform() as platform:
        control = open_control(f"sqlite:///{platform.data}/control.db")
        fleet = Fleet(Plan(*platform.address, platform.key, waits=True, prefix="runner"), size, Runs).start()
        _until(lambda: all(agent.answered_at for agent in _agents(fleet)), HEARD_WITHIN_S, "every agent was heard")
        bare = _steady(report, platform, fleet, "without monitors", steady_s)
        account_id = _account(control)
        for number in range(MONITORS):
            _write(control, account_id, number)
        _push(report, platform, control, fleet, "first set")
        full = _steady(report, platform, fleet, f"{MONITORS} monitors", steady_s)
        report.figure("monitors set check", (full - bare) * 1e6, "µs CPU of the API/ping")
        for number in range(PUSHES):
            _write(control, account_id, number, anew=True)
            _push(report, platform, control, fleet, f"push {number + 1}")
        report.figure("monitors set as fetched", _agents(fleet)[0].bundle_bytes / 1_000, "kB")
        fleet.stop()
        control.dispose()


def _steady(report: Report, platform: Platform, fleet: Fleet, name: str, steady_s: float) -> float:
    """Pings for a while; returns CPU seconds of the API for each."""
    time.sleep(2 * fleet.plan.interval_s)
    fleet.take()
    before = platform.family.cpu_by_piece_s()["api"]
    time.sleep(steady_s)
    pings, _ = fleet.take()
    each_s = (platform.family.cpu_by_piece_s()["api"] - before) / max(1, len(pings.took_s))
    report.figure(f"monitors, {name}: pings", pings.per_s, "pings/s")
    report.figure(f"monitors, {name}: ping p99", pings.quantile_ms(0.99), "ms", "≤ 50")
    report.figure(f"monitors, {name}: CPU of the API", each_s * 1e6, "µs/ping")
    report.figure(f"monitors, {name}: failed tries", pings.failures.total(), "pings", "0")
    return each_s


def _push(report: Report, platform: Platform, control: Engine, fleet: Fleet, name: str) -> None:
    """All nodes are to run what was written; until each has it."""
    account_id = _account(control)
    while moving := [one for one in monitors.list_for(control, account_id) if one.stage != Stage.DONE]:
        for monitor in moving:  # the scheduler may have moved one meanwhile; then it is moved on from there
            monitors.move(control, monitor, Move(Stage.DONE), datetime.now(UTC))
    began = time.monotonic()
    _tell_changed(platform, control)
    agents = _agents(fleet)
    _until(lambda: all(agent.has_at > began for agent in agents), TOLD_WITHIN_S, f"{name} came to all")
    assert len({agent.hash for agent in agents}) == 1, "all run the same"
    for what, taken in (("told", sorted(a.told_at for a in agents)), ("fetched", sorted(a.has_at for a in agents))):
        report.figure(f"monitors, {name}: {what} p50", taken[len(taken) // 2] - began, "s")
        report.figure(f"monitors, {name}: {what} by all", taken[-1] - began, "s", "≤ 10")


def _write(control: Engine, account_id: AccountId, number: int, *, anew: bool = False) -> None:
    """A monitor for every node, or its next version, on its way."""
    who, now = (control, account_id, f"bench-{number}"), datetime.now(UTC)
    spec = Spec(script=SCRIPT.format(number=time.time_ns()), interval_s=60)
    if anew:
        monitors.save(*who, spec, now, actor=ACTOR)
    else:
        monitors.create(*who, spec, Target(match="*"), now, actor=ACTOR)
    monitors.push(*who, now, actor=ACTOR)


def _tell_changed(platform: Platform, control: Engine) -> None:
    with redis.Redis.from_url(platform.redis_url) as client:
        monitor_runs.tell_changed_sync(client, _account(control))


def _account(control: Engine) -> AccountId:
    with control.connect() as conn:
        return AccountId(conn.execute(select(accounts.c.id).where(accounts.c.id != own_account.ACCOUNT)).scalar_one())


def _agents(fleet: Fleet) -> list[Runs]:
    return [agent for agent in fleet.agents if isinstance(agent, Runs)]


def _until(is_true: Callable[[], bool], within_s: float, what: str) -> None:
    give_up_s = time.monotonic() + within_s
    while not is_true():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)
