"""Opens every client, once per process."""

from dataclasses import dataclass, field

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import Engine

from domain.settings import Settings
from schema.answers import Answers
from schema.clickhouse_client import ClickHouse, open_clickhouse
from schema.control.engine import open_control

_REDIS_TIMEOUT_S = 2.0
_REDIS_CONNECTIONS = 64


@dataclass(frozen=True)
class Stores:
    """The clients that requests share."""

    control: Engine
    redis: redis.asyncio.Redis
    clickhouse: ClickHouse
    answers: Answers = field(default_factory=Answers)

    async def close(self) -> None:
        """Let go of every connection."""
        await self.redis.aclose()
        self.control.dispose()
        self.clickhouse.close()


def open_stores(settings: Settings) -> Stores:
    """Clients for the URLs of the settings; none connects before its first use."""
    return Stores(
        control=open_control(settings.database_url.get_secret_value()),
        redis=redis.asyncio.Redis.from_url(
            settings.redis_url.get_secret_value(),
            max_connections=_REDIS_CONNECTIONS,
            socket_timeout=_REDIS_TIMEOUT_S,
            socket_connect_timeout=_REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        ),
        clickhouse=open_clickhouse(settings),
    )
