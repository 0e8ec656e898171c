"""One account's nodes, the API process that hears them and the scheduler that sweeps, by a clock that a test turns."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
import redis.asyncio
from sqlalchemy import Engine

from domain.commands import Kind
from domain.events import Event
from domain.ids import AccountId
from domain.nodes import NodeState, Said
from domain.settings import Settings
from schema import accounts, events, hearing, heartbeats, keys, nodes
from schema.control.engine import reading
from schema.heartbeats import Contact, Expected, Farewell
from tests.valkey_server import Calls, Valkey
from workers.sweep import reconcile, sweep_liveness

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE_S, OFFLINE_S, DEREGISTERED_S, GRACE_S = 30, 100, 14_400, 60
"""The limits that the default settings lead to."""
LONG_AGO_S = -3_600


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ms(seconds: float) -> int:
    return int(at(seconds).timestamp() * 1000)


class Fleet(Calls):
    """One account's nodes and the two processes around them, with a clock that the test turns."""

    def __init__(self, control: Engine, valkey: Valkey, client: redis.Redis) -> None:
        super().__init__(valkey, client)
        self.control = control
        self.settings = Settings(_env_file=None)
        self.account_id = accounts.create(control, "home", None, at(LONG_AGO_S)).id

    def beat(
        self,
        seconds: float,
        *names: str,
        account_id: AccountId | None = None,
        skew_ms: int | None = None,
        farewell: Farewell | None = None,
        is_ephemeral: bool = False,
        instance: str = "",
        run: str = "",
    ) -> list[Kind]:
        """These nodes ping; returns what they were told."""
        account_id = account_id or self.account_id
        asked = Expected(self.settings.ping_interval_s * 1000, self.settings.late_after_pings)
        sent_ms = None if skew_ms is None else ms(seconds) + skew_ms
        said = Said(interval_s=0, is_ephemeral=is_ephemeral)

        async def work(client: redis.asyncio.Redis) -> list[Kind]:
            told = []
            for name in names:
                beat = await heartbeats.beat(
                    client,
                    account_id,
                    name,
                    ms(seconds),
                    asked,
                    instance=instance,
                    run=run,
                    sent_ms=sent_ms,
                    farewell=farewell,
                )
                told += [command.kind for command in beat.commands]
                if beat.is_new:
                    nodes.meet(self.control, account_id, {name: said}, at(seconds))
            return told

        return self.run(work)

    def touch(self, seconds: float, *names: str, instance: str = "") -> None:
        """These nodes send snapshots; nobody registers them."""
        asked = Expected(self.settings.ping_interval_s * 1000, self.settings.late_after_pings)

        async def work(client: redis.asyncio.Redis) -> None:
            await heartbeats.touch(client, self.account_id, names, ms(seconds), asked, instance=instance)

        self.run(work)

    def hear(self, from_s: float, to_s: float, *, is_first: bool = False) -> None:
        """A process takes pings all that time, and says so; with `is_first` it has just started."""

        async def work(client: redis.asyncio.Redis) -> None:
            await hearing.sign(client, ms(from_s), is_first=is_first)
            for second in range(int(from_s) + 2, int(to_s) + 1, 2):
                await hearing.sign(client, ms(second))
            await hearing.sign(client, ms(to_s))

        self.run(work)

    def hear_on(self, seconds: float) -> None:
        """As if signs had come until then, without sending thousands."""
        self.sync.hset(keys.HEARING, "at", ms(seconds))

    def sweep(self, seconds: float) -> int:
        return sweep_liveness(self.control, self.sync, self.settings, at(seconds))

    def reconcile(self, seconds: float) -> int:
        return reconcile(self.control, self.sync, self.settings, at(seconds))

    def pass_time(self, from_s: float, to_s: float, every_s: int = 2) -> None:
        """Take pings and sweep all that time, but no node pings."""
        self.hear(from_s, from_s)
        for second in range(int(from_s), int(to_s) + 1, every_s):
            self.hear(second, second)
            self.sweep(second)

    def state(self, name: str, account_id: AccountId | None = None) -> NodeState:
        node = nodes.find(self.control, account_id or self.account_id, name)
        assert node is not None
        return node.state

    def history(self, name: str) -> list[Event]:
        node = nodes.find(self.control, self.account_id, name)
        assert node is not None
        with reading(self.control) as conn:
            return events.read(conn, f"node/{node.id}")

    def told(self, name: str) -> list[tuple[str, str]]:
        """Each event's type, and its cause if it has one."""
        return [(event.type, event.payload.get("cause", "")) for event in self.history(name)]

    def contact(self, name: str) -> Contact | None:
        return heartbeats.read_contacts_sync(self.sync, self.account_id, [name]).get(name)

    def due_s(self, name: str) -> float | None:
        score = self.sync.zscore(keys.deadlines(self.account_id), name)
        return None if score is None else score / 1000 - START.timestamp()


@pytest.fixture
def fleet(sqlite_control: Engine, redis_sync: redis.Redis, valkey: Valkey) -> Fleet:
    """A platform that has taken pings for an hour."""
    fleet = Fleet(sqlite_control, valkey, redis_sync)
    fleet.hear(LONG_AGO_S, 0, is_first=True)
    return fleet
