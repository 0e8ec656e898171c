"""Monitors in the stores: versions, races, and rollouts as the worker moves them, on real databases."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
import redis.asyncio
from sqlalchemy import Engine

from domain.errors import InvalidBody, LimitReached, NotFound, Outdated
from domain.ids import AccountId
from domain.monitor_runs import Report
from domain.monitors import MONITORS_MAX, Spec, Target
from domain.nodes import NodeState, Said
from domain.rollouts import Move, Stage, version_for
from domain.settings import Settings
from schema import accounts, migrate, monitor_runs, monitors, nodes, samples, series_budget
from schema.rebuild import rebuild
from tests.clickhouse_server import Server
from tests.racing import race
from tests.valkey_server import Valkey
from workers.roll_out import is_due, roll_out
from workers.stores import Stores, open_stores

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ME = f"user/{UUID(int=7)}"
ALL = Target(match="*")
ONE, TWO = Spec(script="gauge('a', 1)"), Spec(script="gauge('a', 2)")


@pytest.fixture
def account(control: Engine) -> AccountId:
    return accounts.create(control, "ours", "a@example.org", NOW).id


def test_versions_are_numbered_and_none_is_lost(control: Engine, account: AccountId) -> None:
    monitors.create(control, account, "disk", ONE, ALL, NOW, actor=ME, note="first")
    second = monitors.save(control, account, "disk", TWO, NOW + SECOND, actor=ME, note="second", expected_head=1)
    assert (second.head, second.spec, second.pushed, second.stage) == (2, TWO, 0, Stage.NONE)
    assert monitors.save(control, account, "disk", TWO, NOW, actor=ME).version == second.version, "it is no news"
    told = [(one.number, one.spec, one.note) for one in monitors.versions(control, account, "disk")]
    assert told == [(2, TWO, "second"), (1, ONE, "first")]
    assert monitors.find_version(control, account, "disk", 1) == ONE
    with pytest.raises(NotFound):
        monitors.find_version(control, account, "disk", 3)
    with pytest.raises(Outdated) as refused:
        monitors.save(control, account, "disk", ONE, NOW, actor=ME, expected_head=1)
    assert refused.value.extra["version"] == 2
    assert rebuild(control).is_identical


def test_a_name_is_one_monitors_and_of_one_account(control: Engine, account: AccountId) -> None:
    other = accounts.create(control, "other", "b@example.org", NOW).id
    monitors.create(control, account, "disk", ONE, ALL, NOW, actor=ME)
    monitors.create(control, other, "disk", TWO, ALL, NOW, actor=ME)
    with pytest.raises(InvalidBody, match="a monitor disk already"):
        monitors.create(control, account, "disk", TWO, ALL, NOW, actor=ME)
    monitors.remove(control, account, "disk", NOW, actor=ME)
    with pytest.raises(NotFound):
        monitors.find(control, account, "disk")
    assert monitors.find(control, other, "disk").spec == TWO
    assert monitors.create(control, account, "disk", TWO, ALL, NOW, actor=ME).head == 1
    assert rebuild(control).is_identical


def test_there_are_not_more_than_a_node_can_fetch(sqlite_control: Engine) -> None:
    account = accounts.create(sqlite_control, "ours", "a@example.org", NOW).id
    for number in range(MONITORS_MAX):
        monitors.create(sqlite_control, account, f"m{number}", ONE, ALL, NOW, actor=ME)
    with pytest.raises(LimitReached):
        monitors.create(sqlite_control, account, "one-more", ONE, ALL, NOW, actor=ME)


def test_of_many_who_save_at_once_each_gets_a_version_of_its_own(control: Engine, account: AccountId) -> None:
    monitors.create(control, account, "disk", ONE, ALL, NOW, actor=ME)
    specs = [Spec(script=f"gauge('a', {number})") for number in range(10, 14)]
    saved = race(4, lambda n: monitors.save(control, account, "disk", specs[n], NOW, actor=ME))
    assert sorted(one.head for one in saved if isinstance(one, monitors.Monitor)) == [2, 3, 4, 5]
    assert sorted(one.spec.script for one in monitors.versions(control, account, "disk")[:4]) == [
        spec.script for spec in specs
    ]


def test_what_was_decided_on_an_old_state_is_not_done(control: Engine, account: AccountId) -> None:
    monitors.create(control, account, "disk", ONE, ALL, NOW, actor=ME)
    seen = monitors.push(control, account, "disk", NOW, actor=ME)
    monitors.switch(control, account, "disk", NOW, is_paused=True, actor=ME)
    assert monitors.move(control, seen, Move(Stage.CANARY, ("web-1",)), NOW) is None
    assert not monitors.find(control, account, "disk").is_moving and not monitors.list_moving(control)


class Rollouts:
    """An account whose nodes report, and the worker that moves rollouts on."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.now = NOW
        self.account = accounts.create(stores.control, "ours", "a@example.org", NOW).id
        self.names = [f"web-{number}" for number in range(8)]
        agent = {"monitors": ""}
        nodes.meet(stores.control, self.account, {name: Said(None, {"env": "prod"}, agent) for name in self.names}, NOW)

    def write(self, spec: Spec) -> None:
        if spec == ONE:
            monitors.create(self.stores.control, self.account, "disk", spec, ALL, self.now, actor=ME)
        else:
            monitors.save(self.stores.control, self.account, "disk", spec, self.now, actor=ME)
        monitors.push(self.stores.control, self.account, "disk", self.now, actor=ME)

    @property
    def monitor(self) -> monitors.Monitor:
        return monitors.find(self.stores.control, self.account, "disk")

    def runs(self) -> dict[str, int]:
        return {name: version_for(self.monitor.rollout, name) for name in self.names}

    def report(self, state: str = "ok", *, samples: int = 1) -> None:
        """Every node runs what it has, and tells."""
        for name, version in self.runs().items():
            if version:
                is_new = version == self.monitor.pushed
                told = {"id": str(self.monitor.id), "version": version, "at": self.now.timestamp(), "samples": samples}
                told |= {"state": state if is_new else "ok", "message": "nil value" if is_new and state != "ok" else ""}
                asyncio.run(self._note(name, msgspec.convert(told, Report)))

    def step(self) -> Stage:
        self.now += SECOND
        roll_out(self.stores, self.now)
        return self.monitor.stage

    def play(self, state: str = "ok", most: int = 12) -> list[Stage]:
        """The stages it comes through, until it stays."""
        seen = [self.monitor.stage]
        for _ in range(most):
            if not is_due(self.stores):
                break
            self.report(state)
            stage = self.step()
            if stage != seen[-1]:
                seen.append(stage)
        return seen

    async def _note(self, node: str, report: Report) -> None:
        client = redis.asyncio.Redis.from_url(self.stores.settings.redis_url.get_secret_value())
        await monitor_runs.note(client, self.account, node, [report], int(self.now.timestamp() * 1000))
        await client.aclose()


@pytest.fixture
def rollouts(
    clickhouse_server: Server, clickhouse_database: str, valkey: Valkey, sqlite_control: Engine
) -> Iterator[Rollouts]:
    server = clickhouse_server
    password = server.password.replace(" ", "%20")
    settings = Settings(
        _env_file=None,
        clickhouse_url=f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}",
        redis_url=valkey.url,
        database_url=sqlite_control.url.render_as_string(hide_password=False),
        raw_retention_days=10_000,
        minute_retention_days=10_000,
        hour_retention_days=10_000,
        series_budget=1_000,
    )
    stores = open_stores(settings)
    migrate.upgrade(stores.clickhouse, settings)
    yield Rollouts(stores)
    stores.close()


def test_a_version_comes_to_one_node_then_to_a_share_then_to_all(rollouts: Rollouts) -> None:
    rollouts.write(ONE)
    assert rollouts.play() == [Stage.CANARY, Stage.SHARE, Stage.ALL, Stage.DONE]
    assert set(rollouts.runs().values()) == {1} and rollouts.monitor.good == 1
    assert not is_due(rollouts.stores)


def test_a_version_that_fails_goes_back_to_the_last_good_one_by_itself(rollouts: Rollouts) -> None:
    rollouts.write(ONE)
    rollouts.play()
    rollouts.write(TWO)
    assert rollouts.play("failed") == [Stage.CANARY, Stage.HALTED]
    halted = rollouts.monitor
    assert (halted.good, halted.pushed, halted.head) == (1, 2, 2) and halted.reason.endswith(": nil value")
    assert set(rollouts.runs().values()) == {1}
    assert rebuild(rollouts.stores.control).is_identical


def test_a_version_that_would_break_the_budget_is_halted_at_its_first_node(rollouts: Rollouts) -> None:
    rollouts.write(ONE)
    rollouts.step()
    rollouts.report(samples=200)
    assert rollouts.step() == Stage.HALTED
    assert "200 series on each of 8 nodes would be 1,600" in rollouts.monitor.reason
    assert set(rollouts.runs().values()) == {0}


def test_a_node_that_comes_later_has_what_its_stage_gives_it(rollouts: Rollouts) -> None:
    rollouts.write(ONE)
    rollouts.play()
    late = {"late-1": Said(None, {}, {"monitors": ""})}
    nodes.meet(rollouts.stores.control, rollouts.account, late, rollouts.now)
    assert version_for(rollouts.monitor.rollout, "late-1") == 1


def test_while_nobody_can_run_it_a_rollout_waits(rollouts: Rollouts) -> None:
    for name in rollouts.names:
        found = nodes.find(rollouts.stores.control, rollouts.account, name)
        assert found
        nodes.transition(
            rollouts.stores.control, rollouts.account, found.id, NodeState.OFFLINE, cause="silence", now=NOW
        )
    rollouts.write(ONE)
    rollouts.now += timedelta(days=1)
    assert rollouts.step() == Stage.CANARY and not rollouts.monitor.canaries


def test_series_are_counted_once_and_forgotten_after_a_day(rollouts: Rollouts) -> None:
    clickhouse, account = rollouts.stores.clickhouse, rollouts.account
    for number in range(2):
        line = {
            "account": str(account),
            "batch": "b",
            "snapshots": [{"node": "web-1", "ts": NOW.timestamp() + number, "metrics": {"a": 1, 'b{c="d"}': 2}}],
        }
        samples.insert(clickhouse, msgspec.json.encode(line) + b"\n", f"segment-{number}")
    assert series_budget.count(clickhouse, account, NOW) == 2
    assert series_budget.left(clickhouse, account, 1, NOW) == -1
    assert series_budget.count(clickhouse, account, NOW + timedelta(days=2)) == 0
