"""The ClickHouse client, opened on first use, so that a process starts and spools while ClickHouse is away."""

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager

from domain.errors import StoreUnavailable
from domain.settings import Settings
from schema.answer_times import AnswerTimes

_CONNECT_TIMEOUT_S = 5
_POOL_SIZE = 16
_PIECE_BYTES = 1024 * 1024
_SPREAD_READS: Mapping[str, Any] = {
    # A subquery over shards within a question over shards is asked once, and its answer handed to all of them.
    "distributed_product_mode": "global",
}
_SPREAD_INSERTS: Mapping[str, Any] = {
    # An INSERT has returned when every shard has its part, not when it lies in a queue of the server that took it.
    "distributed_foreground_insert": 1,
    # The shard that is here takes its part as all others do, as one block, so that its token names the same wherever a
    # segment is inserted again.
    "prefer_localhost_replica": 0,
}


def open_clickhouse(settings: Settings, *, timeout_s: float = 30) -> "ClickHouse":
    """The client that the settings ask for; it connects at its first use."""
    url = settings.clickhouse_url.get_secret_value()
    return ClickHouse(url, timeout_s=timeout_s, cluster=settings.clickhouse_cluster)


class ClickHouse:
    """clickhouse-connect in threads: one HTTP pool, no session, so that calls run side by side.

    cluster  its name when there is one (schema/cluster.py); each call then takes along what it needs there

    Every method raises StoreUnavailable when ClickHouse does not answer, DatabaseError when it refuses.
    """

    def __init__(self, url: str, *, timeout_s: float = 30, cluster: str = "") -> None:
        parts = urlsplit(url)
        self.cluster = cluster
        self._arguments: dict[str, Any] = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or (8443 if parts.scheme == "https" else 8123),
            "secure": parts.scheme == "https",
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "send_receive_timeout": timeout_s,
            "autogenerate_session_id": False,
            "query_limit": 0,
            "compress": False,
        }
        self.database = parts.path.strip("/") or "default"
        self.asked = AnswerTimes()
        self._opening = threading.Lock()
        self._client: Client | None = None

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Rows of a question, as clickhouse-connect's QueryResult."""
        return self._call("query", sql, parameters=dict(parameters or {}), **self._reading(options))

    def raw_query(self, sql: str, parameters: Mapping[str, Any] | None = None, **options: Any) -> bytes:
        """The answer's bytes in the FORMAT that the SQL names."""
        return bytes(self._call("raw_query", sql, parameters=dict(parameters or {}), **self._reading(options)))

    def stream(self, sql: str, parameters: Mapping[str, Any] | None = None, **options: Any) -> Iterator[bytes]:
        """As `raw_query`, piece by piece: for answers that do not fit into memory."""
        answer = self._call("raw_stream", sql, parameters=dict(parameters or {}), **self._reading(options))
        try:
            while piece := answer.read(_PIECE_BYTES):
                yield piece
        finally:
            answer.close()

    def command(self, sql: str, **options: Any) -> str | int | Sequence[str]:
        """Run a statement that gives back nothing, or one value."""
        answer: str | int | Sequence[str] = self._call("command", sql, **options)
        return answer

    def raw_insert(self, table: str, body: bytes | Generator[bytes], *, fmt: str, settings: Mapping[str, Any]) -> int:
        """INSERT a body in a format; returns the rows written as the server counts them."""
        told = {**settings, **(_SPREAD_INSERTS if self.cluster else {})}
        summary = self._call("raw_insert", table, insert_block=body, fmt=fmt, settings=told)
        return int(summary.written_rows)

    def close(self) -> None:
        """Let go of the connections."""
        with self._opening:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _reading(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "settings": {**_SPREAD_READS, **options.get("settings", {})}} if self.cluster else options

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        failure: Exception | None = None
        try:
            return getattr(self._open(), method)(*args, **options)
        except OperationalError as error:
            failure = error
            raise StoreUnavailable(
                "ClickHouse does not answer just now; try again", headers={"Retry-After": "2"}
            ) from error
        except Exception as error:
            failure = error
            raise
        finally:
            self.asked.note(time.perf_counter() - began, failure)

    def _open(self) -> Client:
        client = self._client
        if client is not None:
            return client
        with self._opening:
            if self._client is None:
                pool = get_pool_manager(maxsize=_POOL_SIZE, num_pools=1)
                try:
                    client = clickhouse_connect.get_client(pool_mgr=pool, database=self.database, **self._arguments)
                except DatabaseError as error:
                    if "UNKNOWN_DATABASE" not in str(error):
                        raise
                    client = self._create_database(pool)
                self._client = client
            return self._client

    def _create_database(self, pool: Any) -> Client:
        first = clickhouse_connect.get_client(pool_mgr=pool, database="default", **self._arguments)
        everywhere = f" ON CLUSTER '{self.cluster}'" if self.cluster else ""
        sql = f"CREATE DATABASE IF NOT EXISTS {{database:Identifier}}{everywhere}"
        first.command(sql, parameters={"database": self.database})
        return clickhouse_connect.get_client(pool_mgr=pool, database=self.database, **self._arguments)


__all__ = ["ClickHouse", "ClickHouseError", "DatabaseError", "open_clickhouse"]
