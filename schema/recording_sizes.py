"""How much recordings hold: their single samples, for as long as those are kept."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain.ids import AccountId
from schema import series
from schema.clickhouse_client import ClickHouse
from schema.recordings import Recording


class _Answer(msgspec.Struct):
    data: list[tuple[int, int]]


def sizes(clickhouse: ClickHouse, account_id: AccountId, found: Sequence[Recording]) -> Mapping[UUID, int]:
    """Samples of each of these recordings, in one question. Raises StoreUnavailable."""
    if not found:
        return {}
    one = series.question("recording_size")
    parameters: dict[str, Any] = {"account": account_id}
    for number, recording in enumerate(found):
        parameters |= {f"{name}_{number}": value for name, value in _window(number, recording).items()}
    parts = (one.replace("_0:", f"_{number}:") for number in range(len(found)))
    sql = "\nUNION ALL\n".join(parts) + "FORMAT JSONCompact"
    answer = msgspec.json.decode(series.ask(clickhouse, sql, parameters), type=_Answer)
    return {found[number].id: count for number, count in answer.data}


def _window(number: int, recording: Recording) -> dict[str, Any]:
    return {
        "number": number,
        "node": recording.node,
        "metrics": list(recording.metrics),
        "from_ms": int(recording.started_at.timestamp() * 1000),
        "to_ms": int(recording.ends_at.timestamp() * 1000),
    }
