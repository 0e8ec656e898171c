"""Work for open pages that goes on only while somebody follows, and hears at once what is published to an account."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from dashboards.node_list.looks import AWAY
from domain.ids import AccountId
from schema import keys

RETRY_S: Final = 2.0

log = structlog.get_logger()
Follower = TypeVar("Follower")


class Following(ABC, Generic[Follower]):
    """What open pages of one account share: it is at work while there are any."""

    def __init__(self, account_id: AccountId) -> None:
        self._account_id = account_id
        self._followers: set[Follower] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_followed(self) -> bool:
        return bool(self._followers)

    @abstractmethod
    def works(self) -> Iterable[Coroutine[Any, Any, None]]:
        """What is to be done all the time, side by side."""

    @asynccontextmanager
    async def following(self, follower: Follower) -> AsyncIterator[None]:
        """Count a follower in until the block ends."""
        self._followers.add(follower)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._followers.discard(follower)
            if not self._followers:
                await self._stop()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in self.works():
                    tasks.create_task(work)
        except Exception:
            log.exception("watch_failed", watch=type(self).__name__, account_id=str(self._account_id))


async def heard(redis: Redis, account_id: AccountId) -> AsyncIterator[str]:
    """What is published to an account: "node", "status"; and "" when what came before may have been missed."""
    while True:
        try:
            async with redis.pubsub() as channel:
                await channel.subscribe(keys.events_channel(account_id))
                async for message in channel.listen():
                    told = _told(message)
                    if told is not None:
                        yield told
        except AWAY:
            await asyncio.sleep(RETRY_S)


def _told(message: dict[str, Any]) -> str | None:
    """None for what tells of neither, or cannot be read."""
    if message["type"] != "message":
        return ""  # we have just subscribed
    try:
        told = msgspec.json.decode(message["data"])
    except msgspec.DecodeError:
        return None
    kind = str(told.get("type", "")) if isinstance(told, dict) else ""
    return kind.partition("_")[0] if kind.startswith("node_") or kind == "status" else None
