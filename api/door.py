"""Notes what arrives at the door for an account. Never makes a request wait or fail.

An attempt belongs to the account of the key that it names, also when its secret is wrong; an attempt that names no key
of ours belongs to nobody and is not noted. What comes too fast is counted instead.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio
from starlette.datastructures import State
from starlette.requests import Request

from api.seldom import Seldom
from domain import door as words
from domain.door import Entry, Outcome
from domain.errors import MetristError, StoreUnavailable
from domain.ids import AccountId
from domain.snapshots import Refusal
from schema import door
from schema.api_keys import StoredKey

A_SECOND: dict[Outcome, int] = {"accepted": 3, "refused": 5}
"""So many attempts of an account are written down a second and process; an agent that starts makes three."""
WAITING_MAX = 1_000
_FLUSH_S = 0.2
_RETRY_S = 1.0


@dataclass(slots=True)
class _Gate:
    """One account's attempts of one outcome within a second."""

    ends_at: float
    passed: int = 0
    missed: int = 0


class Door:
    """What this process has noted and not yet written; used from its event loop."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._gates: dict[tuple[AccountId, Outcome], _Gate] = {}
        self._waiting: list[tuple[AccountId, Entry]] = []
        self._woken = asyncio.Event()
        self._seldom = Seldom()

    def opens(self, account_id: AccountId, outcome: Outcome) -> bool:
        """Whether one more attempt is to be noted; else it is counted. This is all that a busy account costs."""
        now = time.monotonic()
        gate = self._gates.get((account_id, outcome))
        if gate is None:
            gate = self._gates[account_id, outcome] = _Gate(now + 1)
        elif now >= gate.ends_at and not gate.missed:
            gate.ends_at, gate.passed = now + 1, 0
        if now < gate.ends_at and gate.passed < A_SECOND[outcome] and len(self._waiting) < WAITING_MAX:
            gate.passed += 1
            return True
        gate.missed += 1
        self._woken.set()
        return False

    def note(self, account_id: AccountId, entry: Entry) -> None:
        """Have it written soon."""
        self._waiting.append((account_id, entry))
        self._woken.set()

    async def write_forever(self) -> None:
        """Write what is noted, until cancelled; what Redis does not take is let go."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(_FLUSH_S)
            self._woken.clear()
            self._close_gates()
            entries, self._waiting = self._waiting, []
            try:
                if entries:
                    await door.write(self._redis, entries)
            except StoreUnavailable as error:
                self._seldom.warn("door_not_written", error)
                await asyncio.sleep(_RETRY_S)

    def _close_gates(self) -> None:
        """Forget the seconds that are over, and tell what was missed in them."""
        now = time.monotonic()
        over = [key for key, gate in self._gates.items() if now >= gate.ends_at]
        for account_id, outcome in over:
            missed = self._gates.pop((account_id, outcome)).missed
            if missed:
                self._waiting.append((account_id, words.more(time.time(), outcome, missed)))
        if self._gates:
            self._woken.set()


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Keep `state.door` while the process serves."""
    state.door = Door(state.stores.redis)
    writing = asyncio.create_task(state.door.write_forever())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


def refused(request: Request, error: MetristError) -> None:
    """Note that a request of an agent was turned away."""
    key = _key(request)
    if key is None or request.method != "POST":
        return
    if _door(request).opens(key.account_id, "refused"):
        entry = words.refused(time.time(), _caller(request, key), error, is_revoked=key.revoked_at is not None)
        _door(request).note(key.account_id, entry)


def pinged(request: Request, node: str, sent_at: float | None, now_ms: int) -> None:
    """Note a ping that came at `now_ms`."""
    key = _key(request)
    if key is not None and _door(request).opens(key.account_id, "accepted"):
        _door(request).note(key.account_id, words.pinged(now_ms / 1000, _caller(request, key), node, sent_at))


def admitted(
    request: Request, nodes: Collection[str], accepted: int, refusals: Sequence[Refusal], *, is_twin: bool
) -> None:
    """Note a batch of snapshots."""
    key = _key(request)
    outcome: Outcome = "accepted" if accepted or not refusals else "refused"
    if key is not None and _door(request).opens(key.account_id, outcome):
        entry = words.admitted(time.time(), _caller(request, key), nodes, accepted, refusals, is_twin=is_twin)
        _door(request).note(key.account_id, entry)


def _key(request: Request) -> StoredKey | None:
    """The key that the request names (api/auth.py); None when that is none of ours."""
    key: StoredKey | None = getattr(request.state, "key", None)
    return key


def _door(request: Request) -> Door:
    found: Door = request.app.state.door
    return found


def _caller(request: Request, key: StoredKey) -> words.Caller:
    remote = request.client.host if request.client else ""
    return words.caller(remote, request.headers.get("user-agent", ""), key.name, request.url.path)
