"""The clients of a background process, opened once where it starts."""

from dataclasses import dataclass, field

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from domain.settings import Settings
from schema.clickhouse_client import ClickHouse, open_clickhouse
from schema.conditions import Remembered
from schema.control.engine import open_control
from workers.crew import Crew
from workers.tally import Tally

_REDIS_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Stores:
    """What jobs and the clock work with."""

    settings: Settings
    control: Engine
    redis: redis.Redis
    clickhouse: ClickHouse
    conditions: Remembered = field(default_factory=Remembered)
    crew: Crew = field(default_factory=Crew)
    tally: Tally = field(default_factory=Tally)

    def close(self) -> None:
        """Let go of every connection, once whoever uses one had a moment to end."""
        self.crew.close()
        self.redis.close()
        self.control.dispose()
        self.clickhouse.close()


def open_stores(settings: Settings) -> Stores:
    """Clients for the URLs of the settings; none connects before its first use."""
    return Stores(
        settings,
        control=open_control(settings.database_url.get_secret_value()),
        redis=open_redis(settings),
        clickhouse=open_clickhouse(settings),
    )


def open_redis(settings: Settings, waits_s: float = 0.0) -> redis.Redis:
    """A client for who asks questions that Redis may hold for `waits_s`; it connects on first use.

    One retry, at once, is for a connection that a restarted Redis has closed; whoever calls knows how to wait.
    """
    return redis.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=waits_s + _REDIS_TIMEOUT_S,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
