"""A node was heard: its heartbeat in Redis, and its registration when it is new. Never fails a request.

While Redis is away pings and snapshots are accepted all the same; while the control DB is away the sweep registers
the node later, from its heartbeat (workers/sweep.py).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import State

from api.auth import Principal
from api.registrar import KNOWN_MAX, Registrar, Seen
from api.seldom import Seldom
from domain import pings
from domain.commands import Command
from domain.errors import StoreUnavailable
from domain.ids import AccountId
from domain.live import Ask
from domain.nodes import Said
from domain.pings import Goodbye, Ping
from domain.settings import Settings
from schema import commands, hearing, heartbeats, live
from schema.heartbeats import Beat, Expected, Farewell, Finished
from schema.stores import Stores

NOTHING = Beat(is_new=False, clash_ms=0, commands=(), settled=())


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a ping's answer brings: commands, what to stream while somebody looks, the hash of monitors to run.

    `monitors` is None for who runs none, and while it is not known.
    """

    commands: Sequence[Command] = ()
    live: Ask | None = None
    monitors: str | None = None

    def is_news_to(self, ping: Ping) -> bool:
        """Whether a held ping should be answered: a stream it serves, or monitors it runs already, are none."""
        is_other = self.monitors is not None and self.monitors != ping.monitors
        return bool(self.commands) or (self.live is not None and self.live.id != ping.live) or is_other


NOTHING_WAITS = Waiting()
_AT_ONCE = 32
"""Scripts under way at once; half of the connections that schema.stores allows, a herd waits here."""
_AWAY_S = 1.0
"""After Redis failed, so long nobody waits for its time-out."""


async def record_contact(
    state: State, principal: Principal, nodes: Collection[str], now_ms: int, instance: str | None = None
) -> None:
    """Note that these nodes sent snapshots at `now_ms`; registers those that are new.

    instance  who sent them; a batch of several nodes comes from none of their agents, so then it says nothing
    """
    contacts: Contacts = state.contacts
    await contacts.touch(principal.account_id, sorted(nodes), now_ms, instance if len(nodes) == 1 else None)


class Recent:
    """When this process last touched each node, so that a busy node costs Redis a few touches a ping interval.

    every_ms    a node touched less than so long ago is not due
    """

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._touched_ms: dict[tuple[AccountId, str], int] = {}

    def due(self, account_id: AccountId, nodes: Sequence[str], now_ms: int) -> Sequence[str]:
        """Those of the nodes that must be touched now; they count as touched."""
        touched, since_ms = self._touched_ms, now_ms - self._every_ms
        due = [node for node in nodes if not since_ms < touched.get((account_id, node), 0) <= now_ms]
        if len(touched) > KNOWN_MAX:
            touched.clear()
        touched.update(((account_id, node), now_ms) for node in due)
        return due


class Contacts:
    """What a process's requests share to note contacts; a failing store is counted and logged seldom."""

    def __init__(self, stores: Stores, settings: Settings) -> None:
        self.seldom = Seldom()
        self.pings = self.leased = self.settled = 0
        self.registrar = Registrar(stores.control, stores.redis, self.seldom)
        self._redis = stores.redis
        self._interval_s = settings.ping_interval_s
        self._late_after_pings = settings.late_after_pings
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._away_until_s = 0.0
        self._recent = Recent(settings.ping_interval_s * 1000 // 4)

    async def ping(self, account_id: AccountId, ping: Ping, now_ms: int) -> Beat:
        """A ping's contact; nothing is found while Redis is away."""
        beat = await self._beat(account_id, ping, now_ms)
        self.pings += 1
        self.leased += len(beat.commands)
        self.settled += len(beat.settled)
        seen = Seen(beat.is_new, beat.is_first, beat.node_id)
        await self.registrar.introduce((account_id, ping.node), _said(ping, self._interval_s), now_ms, seen)
        return beat

    async def waiting(self, account_id: AccountId, node: str, now_ms: int) -> Waiting | None:
        """What waits for a node whose ping is held; None while Redis is away."""
        try:
            async with self._redis_slot():
                leased = await commands.lease(self._redis, account_id, node, now_ms)
                self.leased += len(leased)
                return Waiting(leased, await live.asked(self._redis, account_id, node))
        except StoreUnavailable as error:
            self.seldom.warn("commands_not_leased", error)
            return None

    async def touch(self, account_id: AccountId, nodes: Sequence[str], now_ms: int, instance: str | None) -> None:
        """The contact of nodes that sent snapshots; one that was touched a moment ago is passed over."""
        nodes = self._recent.due(account_id, nodes, now_ms)
        if not nodes:
            return
        new = await self._touch(account_id, nodes, now_ms, instance)
        if len(nodes) == 1:
            said = Said(instance)
            await self.registrar.introduce((account_id, nodes[0]), said, now_ms, Seen(is_new=nodes[0] in new))
        else:
            self.registrar.introduce_all(account_id, nodes, now_ms, set(new))

    async def sign_forever(self) -> None:
        """Say every two seconds that this process hears nodes, until cancelled."""
        is_first = True
        while True:
            try:
                await hearing.sign(self._redis, int(time.time() * 1000), is_first=is_first)
                is_first = False
            except StoreUnavailable as error:
                self.seldom.warn("hearing_not_signed", error)
            await asyncio.sleep(hearing.SIGN_EVERY_S)

    async def _beat(self, account_id: AccountId, ping: Ping, now_ms: int) -> Beat:
        expected = Expected(int(pings.expected_s(ping, self._interval_s) * 1000), self._late_after_pings)
        finished = [Finished(*pings.report(found)) for found in ping.finished or ()]
        sent_ms = None if ping.sent_at is None else int(ping.sent_at * 1000)
        try:
            async with self._redis_slot():
                return await heartbeats.beat(
                    self._redis,
                    account_id,
                    ping.node,
                    now_ms,
                    expected,
                    instance=ping.instance or "",
                    run=ping.run or "",
                    sent_ms=sent_ms,
                    finished=finished,
                    farewell=_farewell(ping.goodbye),
                )
        except StoreUnavailable as error:
            self.seldom.warn("heartbeat_lost", error)
            return NOTHING

    async def _touch(
        self, account_id: AccountId, nodes: Sequence[str], now_ms: int, instance: str | None
    ) -> Collection[str]:
        expected = Expected(self._interval_s * 1000, self._late_after_pings)
        try:
            async with self._redis_slot():
                return await heartbeats.touch(self._redis, account_id, nodes, now_ms, expected, instance=instance or "")
        except StoreUnavailable as error:
            self.seldom.warn("heartbeat_lost", error)
            return ()

    @asynccontextmanager
    async def _redis_slot(self) -> AsyncIterator[None]:
        """Raises StoreUnavailable at once while Redis was away a moment ago."""
        async with self._slots:
            if time.monotonic() < self._away_until_s:
                raise StoreUnavailable("Redis was not reachable a moment ago")
            try:
                yield
            except StoreUnavailable:
                self._away_until_s = time.monotonic() + _AWAY_S
                raise


def _said(ping: Ping, interval_s: float) -> Said:
    sent_at = None if ping.sent_at is None else datetime.fromtimestamp(ping.sent_at, UTC)
    interval = pings.recorded_interval_s(ping, interval_s)
    return Said(ping.instance, ping.labels, ping.agent, ping.ephemeral, interval, sent_at)


def _farewell(goodbye: Goodbye | None) -> Farewell | None:
    return Farewell(goodbye.reason, pings.announced_ms(goodbye)) if goodbye else None
