"""Which batches have been stored: what makes a resend count once, across API processes and restarts.

A batch is claimed in Redis before it is spooled and marked stored after; a claim left by a dead process lapses by
itself. What a process itself has stored it also knows without Redis, and its successor by a journal in the spool's
folder. Ids that Redis may not have are kept there, too, until it has them (ADR 0004, ADR 0022).
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from domain.errors import Overloaded
from schema import keys
from schema.recent import Journal, Recent, digest

log = structlog.get_logger()
CLAIM_S = 30
_LOCAL_MAX = 200_000
_FLUSH_MANY = 1_000
_RETRY_S = 1.0
_IDS_SUFFIX = ".batches"
_STORED = b"s"


def name_for(account_id: str, body: bytes) -> str:
    """A batch id for a body that brought none: equal bodies of an account have equal names."""
    return "body-" + blake2b(body, digest_size=16, key=account_id.encode()[:64]).hexdigest()


class Batches:
    """Claims and remembers batch ids; used from one event loop."""

    def __init__(self, client: redis.asyncio.Redis, memory_s: int, folder: Path) -> None:
        self._redis = client
        self._memory_s = memory_s
        self._folder = folder
        # Who holds this folder is alone with it, so an equal claim in Redis is that of a dead predecessor.
        self._claim = b"p" + f"{socket.gethostname()}:{folder.resolve()}".encode()
        self._stored = Recent(memory_s, _LOCAL_MAX)
        self._journal = Journal(folder, memory_s, _LOCAL_MAX)
        for known in self._journal.read(time.time()):
            self._stored.add(known, time.monotonic())
        self._pending: dict[str, asyncio.Future[bool]] = {}
        self._unsettled: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._files = list(folder.glob(f"*{_IDS_SUFFIX}"))
        for file in self._files:
            self._recall(file.read_text().split())

    def recall(self, found: Iterable[tuple[str, str]]) -> None:
        """Take over the (account, batch) pairs of segments that were on disk at the start."""
        self._recall(keys.batch(account, batch) for account, batch in found)

    async def claim(self, account: str, batch: str) -> bool:
        """True when the batch is new and now ours to store, False when it has been stored before.

        Raises Overloaded while another process is storing it.
        """
        key = keys.batch(account, batch)
        while True:
            if digest(key) in self._stored:
                return False
            pending = self._pending.get(key)
            if pending is None:
                break
            await asyncio.wait([pending], timeout=CLAIM_S)
        self._pending[key] = asyncio.get_running_loop().create_future()
        try:
            found = await self._claim_in_redis(key)
        except BaseException:
            self._finish(key)
            raise
        if found in (None, self._claim):
            return True
        self._finish(key)
        if found == _STORED:
            self._remember(key)
            return False
        raise Overloaded("this batch is being stored by another process; send it again", headers={"Retry-After": "2"})

    def settle(self, account: str, batch: str) -> None:
        """The claimed batch is on disk; Redis is told soon after."""
        key = keys.batch(account, batch)
        self._remember(key)
        self._finish(key)
        self._unsettled[key] = None
        self._wake.set()

    async def release(self, account: str, batch: str) -> None:
        """The claimed batch could not be stored; a resend may try again."""
        key = keys.batch(account, batch)
        self._finish(key)
        with contextlib.suppress(RedisError, OSError):
            await self._redis.delete(key)

    def keep(self, token: str, found: Iterable[tuple[str, str]]) -> None:
        """Called from the drain before a segment is removed: note its ids for our successor, and those for Redis.

        Costs little while Redis keeps up. Raises OSError.
        """
        ids = [keys.batch(account, batch) for account, batch in found]
        self._journal.write(map(digest, ids), time.time())
        ids = [key for key in ids if key in self._unsettled or key in self._pending]
        if not ids:
            return
        path = self._folder / f"{token}{_IDS_SUFFIX}"
        with path.open("w") as file:
            file.write("\n".join(ids))
            file.flush()
            os.fsync(file.fileno())
        self._files.append(path)

    async def flush_forever(self) -> None:
        """Tell Redis what has been stored, a pipeline at a time, until cancelled."""
        while True:
            await self._wake.wait()
            try:
                await self._flush()
            except (RedisError, OSError) as error:
                log.warning("batches_wait_for_redis", count=len(self._unsettled), error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)

    async def _flush(self) -> None:
        while self._unsettled:
            files = list(self._files)
            some = list(self._unsettled)[:_FLUSH_MANY]
            pipe = self._redis.pipeline(transaction=False)
            for key in some:
                pipe.set(key, _STORED, ex=self._memory_s)
            await pipe.execute()
            for key in some:
                self._unsettled.pop(key, None)
            if not self._unsettled:
                self._drop(files)
        self._wake.clear()

    async def _claim_in_redis(self, key: str) -> bytes | None:
        """What Redis held before our claim; None when nothing, or when Redis is away."""
        try:
            found = await self._redis.set(key, self._claim, nx=True, get=True, ex=CLAIM_S)
        except (RedisError, OSError):
            return None
        return found if isinstance(found, bytes) else None

    def _recall(self, found: Iterable[str]) -> None:
        for key in found:
            self._remember(key)
            self._unsettled[key] = None
        if self._unsettled:
            self._wake.set()

    def _remember(self, key: str) -> None:
        self._stored.add(digest(key), time.monotonic())

    def _finish(self, key: str) -> None:
        pending = self._pending.pop(key, None)
        if pending is not None and not pending.done():
            pending.set_result(True)

    def _drop(self, files: Iterable[Path]) -> None:
        for file in files:
            file.unlink(missing_ok=True)
            self._files.remove(file)
