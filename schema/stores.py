"""Opens every client, once per process."""

from dataclasses import dataclass, field

import redis.asyncio
from sqlalchemy import Engine

from domain.settings import Settings
from schema.answers import Answers
from schema.clickhouse_client import ClickHouse, open_clickhouse
from schema.control.engine import open_control
from schema.redis_client import open_redis


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
        redis=open_redis(settings),
        clickhouse=open_clickhouse(settings),
    )
