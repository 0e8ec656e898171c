"""Events of nodes in ClickHouse, for analysts: copied from the control DB's log, each once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files

import msgspec
from sqlalchemy import Engine, select

from domain.events import Event, key_of
from schema.clickhouse_client import ClickHouse
from schema.control.engine import reading
from schema.control.tables import events
from schema.events import to_event
from schema.samples import INSERT_SETTINGS

TABLE = "node_events"
_OF_NODES = events.c.stream.like("node/%")
_COPIED = files("schema").joinpath("queries", "node_events_copied.sql").read_text("utf-8")


def copied(clickhouse: ClickHouse) -> int:
    """Up to where in the log events are there. Raises StoreUnavailable."""
    return int(clickhouse.query(_COPIED).result_rows[0][0])


def next_after(engine: Engine, seq: int, at_most: int) -> tuple[Sequence[Event], Mapping[str, str]]:
    """The next events of nodes in the log, and the names of their nodes by stream, those of removed ones too."""
    with reading(engine) as conn:
        query = select(events).where(_OF_NODES, events.c.seq > seq).order_by(events.c.seq).limit(at_most)
        found = [to_event(record) for record in conn.execute(query)]
        streams = sorted({event.stream for event in found})
        first = select(events.c.stream, events.c.payload).where(events.c.stream.in_(streams), events.c.version == 1)
        names = {stream: str(payload["name"]) for stream, payload in conn.execute(first)}
    return found, names


def has_any(engine: Engine) -> bool:
    """Whether there is anything to copy at all."""
    with reading(engine) as conn:
        return conn.scalar(select(events.c.seq).where(_OF_NODES).limit(1)) is not None


def insert(clickhouse: ClickHouse, found: Sequence[Event], names: Mapping[str, str]) -> None:
    """Store a batch of `next_after`. Raises StoreUnavailable (try again), DatabaseError (ClickHouse refuses).

    The token is that of the batch's first event: a batch that is tried again begins with the same one, since nothing
    comes in before it, and adds nothing if it was there.
    """
    token = f"{TABLE}-{found[0].seq}-{found[0].at.isoformat()}"
    body = b"\n".join(msgspec.json.encode(_row(event, names[event.stream])) for event in found)
    clickhouse.raw_insert(
        TABLE, body, fmt="JSONEachRow", settings={**INSERT_SETTINGS, "insert_deduplication_token": token}
    )


def _row(event: Event, name: str) -> dict[str, object]:
    clock = event.payload.get("agent_clock")
    return {
        "account": str(event.account_id),
        "node": name,
        "node_id": key_of(event.stream)[0],
        "ts": _text(event.at),
        "type": event.type,
        "cause": str(event.payload.get("cause", "")),
        "agent_clock": _text(datetime.fromisoformat(clock)) if clock else None,
        "actor": event.actor,
        "payload": msgspec.json.encode(event.payload).decode(),
        "seq": event.seq,
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
