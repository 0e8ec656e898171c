"""Lua scripts as files: loaded once, run by their hash."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from domain.errors import StoreUnavailable

Value = str | bytes | int
AWAY = "Redis is not reachable just now; try again shortly"


@contextmanager
def redis_faults() -> Iterator[None]:
    """Turn what redis-py raises into StoreUnavailable; unreachable, loading, full: it is all one to callers."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(AWAY) from error


class Lua:
    """One script, made of one or more files of schema/scripts in their order.

    Sent by its hash; when Redis does not know that (restarted, or SCRIPT FLUSH), sent in full, which teaches it again.
    """

    def __init__(self, *names: str) -> None:
        folder = files("schema") / "scripts"
        self.text = "\n".join((folder / f"{name}.lua").read_text() for name in names)
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: redis.asyncio.Redis, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run from the API; the reply has texts as bytes. Raises StoreUnavailable."""
        with redis_faults():
            try:
                return await client.evalsha(self.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await client.eval(self.text, len(keys), *keys, *args)

    def run_sync(self, client: redis.Redis, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """The same from a worker or the scheduler."""
        with redis_faults():
            try:
                return client.evalsha(self.sha, len(keys), *keys, *args)
            except NoScriptError:
                return client.eval(self.text, len(keys), *keys, *args)
