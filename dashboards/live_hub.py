"""Live data for the pages of this process: one pub/sub connection, however many look."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from domain.ids import AccountId
from schema import keys, live
from schema.live import Message

log = structlog.get_logger()
PENDING_MAX = 64
"""Messages a slow page may lag behind; then it loses the oldest. Some seconds of data, some 100 kB at worst."""
_RETRY_S = 0.5
_LISTEN_S = 30.0
_KEEP = "live"
"""A channel nobody publishes to: without any subscription the connection could not wait."""


class Follower:
    """One open page: what it has not been sent yet, and how many messages it was too slow for."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.dropped = 0
        self._pending: deque[Message] = deque(maxlen=PENDING_MAX)

    def tell(self, message: Message) -> None:
        self.dropped += len(self._pending) == PENDING_MAX
        self._pending.append(message)
        self.woken.set()

    def take(self) -> list[Message]:
        """What came since the last call, oldest first."""
        self.woken.clear()
        news = list(self._pending)
        self._pending.clear()
        return news


class LiveHub:
    """Who looks at which node in this process."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._followers: defaultdict[str, set[Follower]] = defaultdict(set)
        self._pubsub: redis.asyncio.client.PubSub | None = None
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, account_id: AccountId, node: str) -> AsyncIterator[Follower]:
        """Hear what the node streams. While Redis is away nothing comes, and it goes on when that is back."""
        channel, follower = keys.live_channel(account_id, node), Follower()
        self._followers[channel].add(follower)
        if self._task is None:
            self._task = asyncio.create_task(self._listen_forever())
        await self._tell_redis("subscribe", channel)
        try:
            yield follower
        finally:
            self._followers[channel].discard(follower)
            if not self._followers[channel]:
                del self._followers[channel]
                await self._tell_redis("unsubscribe", channel)
            if not self._followers:
                await self.close()

    async def close(self) -> None:
        """Hear nothing more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _tell_redis(self, what: str, channel: str) -> None:
        """(Un)subscribe; when the connection is just broken, the next one subscribes to all that is followed."""
        if self._pubsub is not None:
            with suppress(RedisError, OSError, RuntimeError):
                await getattr(self._pubsub, what)(channel)

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.warning("live_not_heard", error=type(error).__name__)
            finally:
                self._pubsub = None
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(_KEEP, *self._followers)
            self._pubsub = pubsub
            if missed := [channel for channel in self._followers if channel.encode() not in pubsub.channels]:
                await pubsub.subscribe(*missed)  # came while the first ones were under way
            while True:
                message = await pubsub.get_message(timeout=_LISTEN_S)
                if message is not None:
                    self._hand_on(message["channel"].decode(), message["data"])

    def _hand_on(self, channel: str, data: bytes) -> None:
        followers = self._followers.get(channel)
        if followers:
            message = live.decode(data)
            for follower in followers:
                follower.tell(message)
