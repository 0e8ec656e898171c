"""Whom a question to ClickHouse is asked for, so that it can be stopped when nobody waits for its answer any more."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

from domain.errors import StoreUnavailable
from schema.clickhouse_client import ClickHouse

_current: ContextVar["Asking | None"] = ContextVar("asking", default=None)


class Asking:
    """One caller's questions, asked one after the other under one query id of ClickHouse."""

    def __init__(self) -> None:
        self.query_id = f"metrist-{uuid4()}"
        self.is_over = False

    @contextmanager
    def here(self) -> Iterator[None]:
        """All that `schema.series.ask` asks in this context, in this thread, is this caller's."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def stop(self, clickhouse: ClickHouse) -> None:
        """Ask nothing more, and stop what is being answered; a question still on its way there is not found yet."""
        self.is_over = True
        # on a cluster nobody knows which server is answering
        everywhere = f"ON CLUSTER '{clickhouse.cluster}' " if clickhouse.cluster else ""
        sql = f"KILL QUERY {everywhere}WHERE query_id = %(query_id)s ASYNC"
        clickhouse.command(sql, parameters={"query_id": self.query_id})


def transport() -> dict[str, str]:
    """What a question takes along to ClickHouse; raises StoreUnavailable when its caller has left already."""
    asking = _current.get()
    if asking is None:
        return {}
    if asking.is_over:
        raise StoreUnavailable("nobody waits for this answer any more")
    return {"query_id": asking.query_id}
