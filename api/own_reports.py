"""The platform reports itself: its figures as samples of its own account, through the same ingest as everybody's.

Each process of the API reports what it counts; one of them, whoever holds the lease, reports worker, scheduler, queues
and stores, too. What the ingest does not take just now (a full disk, a full spool) is kept for an hour and posted later
with the time it had, so that a failing ingest is seen afterwards where it happened; meanwhile /metrics, /readyz and
the page Settings → Platform ask the process itself.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.datastructures import State

from api import figures, snapshots
from api.contact import Contacts
from api.figures import API, Shared
from api.seldom import Seldom
from api.snapshots import Ingest
from domain.errors import MetristError
from domain.metering import Family
from domain.own_account import ACCOUNT, PLATFORM_NODE, node_of, samples
from domain.settings import Settings
from schema import keys, own_account
from schema.lua import Lua
from schema.own_figures import host

KEPT_MAX: Final = 360
"""Reports that wait; at one every ten seconds an hour of them, some 10 kB each."""
AT_ONCE: Final = 20
"""Of those that waited so many are posted with one that is new."""
ENSURE_EVERY_S: Final = 60.0
_LEASES: Final = 3
"""The lease outlasts so many reports."""
_HOLD: Final = Lua("hold_lease")


class Reporter:
    """One process's reports."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._settings: Settings = state.settings
        self._token = secrets.token_hex(16)
        self._seldom = Seldom()
        self._before: dict[str, dict[str, float]] = {}
        self._ensured_s = -ENSURE_EVERY_S
        self._has_account = False
        self.waiting: deque[bytes] = deque(maxlen=KEPT_MAX)

    async def report_forever(self) -> None:
        """Report as often as nodes ping, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.ping_interval_s)
            try:
                await self.report(time.time())
            except Exception as error:  # a process edge: what is wrong with a report must end nothing else
                self._seldom.warn("own_figures_not_reported", error)

    async def report(self, now_s: float) -> None:
        """Report once, after what has waited. Nothing while the account has nobody to own it."""
        await self._ensure(now_s)
        if not self._has_account:
            return
        found = [self._snapshot(node, told, now_s) for node, told in await self._figures()]
        contacts: Contacts = self._state.contacts
        nodes = [str(one["node"]) for one in found]
        await contacts.touch(ACCOUNT, nodes, int(now_s * 1000), None)
        self.waiting.append(msgspec.json.encode(found))
        for _ in range(min(AT_ONCE, len(self.waiting))):
            if not await self._post(self.waiting[0], now_s):
                return
            self.waiting.popleft()

    async def _figures(self) -> list[tuple[str, Sequence[Family]]]:
        """Families by the node that they are of."""
        folder = self._state.ingest.spool.folder.name.lstrip("0")
        mine = node_of(host(), API) + (f"-{folder}" if folder else "")
        found: list[tuple[str, Sequence[Family]]] = [(mine, list(figures.own(self._state)))]
        if not await self._leads():
            return found
        shared: Shared = self._state.shared_figures
        found.append((PLATFORM_NODE, await shared.families()))
        seen: dict[str, int] = {}
        for kept in shared.background:
            node = node_of(kept.host, kept.process)
            seen[node] = seen.get(node, 0) + 1
            found.append((node if seen[node] == 1 else f"{node}-{seen[node]}", kept.families))
        return found

    def _snapshot(self, node: str, told: Sequence[Family], now_s: float) -> dict[str, Any]:
        metrics, self._before[node] = samples(told, self._before.get(node, {}))
        return {"node": node, "ts": now_s, "metrics": metrics}

    async def _post(self, report: bytes, now_s: float) -> bool:
        ingest: Ingest = self._state.ingest
        try:
            admitted = ingest.admission.admit(report, snapshots.bounds(self._settings, now_s))
            if admitted.accepted:
                await snapshots.store(ingest, self._settings, str(ACCOUNT), "", admitted)
        except MetristError as error:
            self._seldom.warn("own_figures_wait", error)
            return False
        return True

    async def _leads(self) -> bool:
        lasts_ms = self._settings.ping_interval_s * _LEASES * 1000
        try:
            held = await _HOLD.run(self._state.stores.redis, [keys.lease("own_figures")], [self._token, lasts_ms])
        except MetristError:
            return False  # its figures are in Redis, too
        return bool(held)

    async def _ensure(self, now_s: float) -> None:
        if now_s - self._ensured_s < ENSURE_EVERY_S and self._has_account:
            return
        control, now = self._state.stores.control, datetime.fromtimestamp(now_s, UTC)
        self._has_account = await asyncio.to_thread(own_account.ensure, control, self._settings.operators, now)
        self._ensured_s = now_s


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Report while the process serves, if it is one that does (`state.reports_itself`)."""
    state.own_reports = Reporter(state)
    tasks = [asyncio.create_task(state.own_reports.report_forever())] if state.reports_itself else []
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
