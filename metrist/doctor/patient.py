"""Whom the doctor looks at: settings, the data directory if there is one, and the stores, opened when first asked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from domain.settings import Settings
from metrist import embedded
from metrist.datadir import DataDir
from metrist.environment import is_set, read_settings
from schema.clickhouse_client import ClickHouse, open_clickhouse
from schema.control.engine import open_control

T = TypeVar("T")
WITHIN_S = 5.0
_TOLD = ("clickhouse_url", "redis_url", "database_url", "spool_dir")


class Patient:
    """Settings as its processes have them; `data` is the directory of a `metrist up`, None for processes by themselves.

    `seen` keeps what one check finds out for another, by name.
    """

    def __init__(self, settings: Settings, data: DataDir | None, closes: ExitStack) -> None:
        self.settings = settings
        self.data = data
        self.seen: dict[str, Any] = {}
        self._closes = closes

    @property
    def has_embedded_engine(self) -> bool:
        """Whether ClickHouse is the one that `metrist up` brings, which has no users."""
        return self.data is not None and "clickhouse_url" in self.seen.get("embedded", ())

    @cached_property
    def control(self) -> Engine:
        """The control DB; it does not connect before it is asked."""
        engine = open_control(self.settings.database_url.get_secret_value())
        self._closes.callback(engine.dispose)
        return engine

    @cached_property
    def clickhouse(self) -> ClickHouse:
        """As `control`."""
        return self._closes.enter_context(closing(open_clickhouse(self.settings, timeout_s=15)))

    @cached_property
    def redis(self) -> redis.Redis:
        """As `control`."""
        client = redis.Redis.from_url(
            self.settings.redis_url.get_secret_value(),
            socket_timeout=WITHIN_S,
            socket_connect_timeout=WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        )
        return self._closes.enter_context(closing(client))

    def once(self, name: str, work: Callable[[], T]) -> T:
        """What `work` gives, asked for once; also a failure is remembered, and raised again."""
        if name not in self.seen:
            try:
                self.seen[name] = work()
            except Exception as error:  # whatever it is, it is the next check's answer, too
                self.seen[name] = error
        found = self.seen[name]
        if isinstance(found, Exception):
            raise found
        result: T = found
        return result


@contextmanager
def admitted(data: Path | None) -> Iterator[Patient]:
    """The patient of this environment, or of a data directory; without one given it is ./data, if that is there.

    Raises InvalidSettings, StartRefused for what is no data directory.
    """
    settings = read_settings()
    directory = DataDir((data or Path("data")).resolve())
    is_here = data is not None or (directory.control_db.exists() and not is_set(settings, "database_url"))
    with ExitStack() as closes:
        if not is_here:
            yield Patient(settings, None, closes)
            return
        told = _told(settings, directory)
        patient = Patient(read_settings(**told), directory, closes)
        patient.seen["embedded"] = tuple(told)
        yield patient


def _told(settings: Settings, directory: DataDir) -> dict[str, str]:
    """What `metrist up` tells its pieces, and where it listened last."""
    brought = embedded.last(settings, directory)
    variables = embedded.variables(settings, directory, brought)
    told = {name: variables[key] for name in _TOLD if (key := f"METRIST_{name.upper()}") in variables}
    address = directory.address.read_text().strip() if directory.address.exists() else ""
    if address and not is_set(settings, "port"):
        host, _, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
        if port.isdigit() and host in (settings.host, "127.0.0.1", "localhost"):
            told["port"] = port
    return told
