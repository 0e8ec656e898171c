"""How runs of monitors went, in ClickHouse: what of them `domain.monitor_runs.is_worth_keeping` has picked out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.ids import AccountId
from domain.monitor_runs import Record, State, Status
from schema import series
from schema.clickhouse_client import ClickHouse
from schema.samples import INSERT_SETTINGS

TABLE = "monitor_runs"
_decode_statuses = msgspec.json.Decoder(tuple[Status, ...]).decode


@dataclass(frozen=True, slots=True)
class Run:
    """One run that is kept."""

    account_id: AccountId
    monitor_id: UUID
    node: str
    record: Record


class _Row(msgspec.Struct, array_like=True):
    monitor: str
    node: str
    heard_ms: int
    at: float
    version: int
    state: State
    message: str
    line: int
    took_ms: float
    cpu_ms: float
    memory_bytes: int
    samples: int
    statuses: str
    ok: int
    failed: int
    in_a_row: int


class _Answer(msgspec.Struct):
    data: list[_Row]


def insert(clickhouse: ClickHouse, runs: Sequence[Run], token: str) -> None:
    """Store some; tried again with the same token they are there once. Raises StoreUnavailable, DatabaseError."""
    body = b"\n".join(msgspec.json.encode(_told(run)) for run in runs)
    settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
    clickhouse.raw_insert(TABLE, body, fmt="JSONEachRow", settings=settings)


def last(clickhouse: ClickHouse, account_id: AccountId, monitor_ids: Sequence[UUID]) -> dict[UUID, dict[str, Record]]:
    """The last run of each node that is kept, by monitor. Raises StoreUnavailable."""
    found: dict[UUID, dict[str, Record]] = {monitor_id: {} for monitor_id in monitor_ids}
    if monitor_ids:
        parameters = {"account": account_id, "monitors": list(monitor_ids)}
        for row in _ask(clickhouse, "monitor_runs_last", parameters):
            found[UUID(row.monitor)][row.node] = _record(row)
    return found


def page(
    clickhouse: ClickHouse, account_id: AccountId, monitor_id: UUID, node: str, before: datetime, most: int
) -> list[tuple[str, Record]]:
    """What is kept of a monitor's runs before an instant, the newest first, with their nodes. Raises StoreUnavailable.

    node  "" for all
    """
    before_ms = int(before.timestamp() * 1000)
    parameters: dict[str, Any] = {"account": account_id, "monitor": monitor_id, "node": node, "before_ms": before_ms}
    return [(row.node, _record(row)) for row in _ask(clickhouse, "monitor_runs_page", parameters | {"most": most})]


def _ask(clickhouse: ClickHouse, name: str, parameters: Mapping[str, Any]) -> Sequence[_Row]:
    answer = series.ask(clickhouse, series.question(name), parameters)
    return msgspec.json.decode(answer, type=_Answer).data


def _record(row: _Row) -> Record:
    return Record(
        version=row.version,
        heard_ms=row.heard_ms,
        at=row.at,
        state=row.state,
        message=row.message,
        line=row.line,
        took_ms=row.took_ms,
        cpu_ms=row.cpu_ms,
        memory_bytes=row.memory_bytes,
        samples=row.samples,
        ok=row.ok,
        failed=row.failed,
        in_a_row=row.in_a_row,
        statuses=_decode_statuses(row.statuses),
        kept_ms=row.heard_ms,
    )


def _told(run: Run) -> dict[str, Any]:
    record = run.record
    told = {name: getattr(record, name) for name in _PLAIN}
    told |= {"account": str(run.account_id), "monitor": str(run.monitor_id), "node": run.node}
    statuses = msgspec.json.encode(record.statuses).decode()
    return told | {"ts": _text(record.heard_ms / 1000), "at": _text(record.at), "statuses": statuses}


_PLAIN = (
    *("version", "state", "message", "line", "took_ms", "cpu_ms", "memory_bytes", "samples"),
    *("ok", "failed", "in_a_row"),
)


def _text(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
