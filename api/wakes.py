"""Wakes held pings: one pub/sub connection per process, however many pings wait."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from domain.ids import AccountId
from schema import keys

log = structlog.get_logger()
WAITING_MAX = 20_000
"""A held ping costs about 20 kB; one more is answered at once."""
_RETRY_S = 1.0
_LISTEN_S = 30.0
_WOKEN_PER_S = 500
"""Each of them asks for its monitors next, which are signed for it."""


class Wakes:
    """Who waits in this process, and for which node."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._waiting: defaultdict[bytes, set[asyncio.Event]] = defaultdict(set)
        self._count = 0
        self.is_closed = False

    @contextmanager
    def waiting(self, account_id: AccountId, node: str) -> Iterator[asyncio.Event | None]:
        """An event that is set when the node should look for commands; None when a ping may not be held now.

        Wait from before the look: what is issued in between then wakes, too.
        """
        if self.is_closed or self._count >= WAITING_MAX:
            yield None
            return
        name, event = f"{account_id} {node}".encode(), asyncio.Event()
        self._waiting[name].add(event)
        self._count += 1
        try:
            yield event
        finally:
            self._count -= 1
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    @property
    def held(self) -> int:
        """How many pings wait in this process."""
        return self._count

    def wake_account(self, account_id: AccountId) -> None:
        """Have the held pings of an account look, many of them not all at once."""
        mine = f"{account_id} ".encode()
        found = [event for name, events in self._waiting.items() if name.startswith(mine) for event in events]
        loop = asyncio.get_running_loop()
        for event in found:
            loop.call_later(random.uniform(0, len(found) / _WOKEN_PER_S), event.set)  # noqa: S311

    def close(self) -> None:
        """Answer all held pings now, and hold no more."""
        self.is_closed = True
        self._wake_all()

    async def listen_forever(self) -> None:
        """Hear what is issued anywhere, until cancelled."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.warning("wakes_not_heard", error=type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(keys.WAKE)
            self._wake_all()  # what was issued while nobody listened
            while True:
                message = await pubsub.get_message(timeout=_LISTEN_S)
                if message is not None:
                    self._wake(message["data"])

    def _wake(self, name: bytes) -> None:
        for event in self._waiting.get(name, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
