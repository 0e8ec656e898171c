"""The Redis client that requests share."""

from collections.abc import Iterable

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost

from domain.settings import Settings

_TIMEOUT_S = 2.0
_CONNECTIONS = 64


def open_redis(settings: Settings) -> redis.asyncio.Redis:
    """A client for the URL of the settings; it connects at its first use."""
    client = redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=_CONNECTIONS,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
    pool = client.connection_pool
    pool.connection_class = _telling(pool.connection_class)
    return client


def _telling(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """A kind of connection (TCP, TLS, a Unix socket) that tells redis-py in its own words that it was lost.

    uvloop refuses to write to a transport that is closed with a RuntimeError, where asyncio drops what is written and
    the next read tells. redis-py 8 passes that on, and a request crashes when Redis is killed in just this moment;
    of a ConnectionError it knows to connect again.
    """

    class Telling(kind):  # type: ignore[misc, valid-type]
        async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
            try:
                await super().send_packed_command(command, check_health)
            except RuntimeError as error:
                raise ConnectionLost("the connection to Redis was closed") from error

    return Telling
