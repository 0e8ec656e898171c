"""Fold the state tables again from the log: what `metrist rebuild` does, and the proof that state is only a fold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)

from domain.events import Event, Row, fold_all, kind_of
from schema import events as log
from schema.control.tables import STATES, events

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """How one state table differed from what the log folds to, in rows."""

    missing: int
    extra: int
    changed: int


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """How much was folded, and what had to be put right: by table, only those that differed."""

    events: int
    rows: int
    differences: Mapping[str, Difference]

    @property
    def is_identical(self) -> bool:
        """Whether every state table was already just what the log folds to."""
        return not self.differences


def rebuild(engine: Engine) -> RebuildReport:
    """Fold the whole log into shadow rows, then put right whatever differs, in one transaction.

    Others wait with their writes meanwhile. Memory stays flat: one batch of events and one of rows at a time.
    Rows that are right are left alone, and with them what refers to them: sessions, last uses of keys.
    """
    with engine.begin() as conn:
        log.hold(conn)
        _take_time(conn)
        shadows = _Shadows(conn)
        counted, rows = shadows.fill()
        differences = shadows.compare()
        shadows.put_right()
        shadows.drop()
    return RebuildReport(counted, rows, differences)


def _take_time(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL statement_timeout = 0"))


@dataclass
class _Shadows:
    """Temporary twins of the state tables: the same columns and primary key, nothing else."""

    conn: Connection
    twins: dict[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metadata = MetaData()
        self.twins = {kind: _twin(table, metadata) for kind, table in STATES.items()}
        metadata.create_all(self.conn, checkfirst=False)

    def fill(self) -> tuple[int, int]:
        """Fold every stream into its row; returns how many events and how many rows."""
        counter = _Counter()
        waiting: dict[str, list[Row]] = {kind: [] for kind in STATES}
        for stream, history in groupby(counter.count(_by_stream(self.conn)), key=lambda event: event.stream):
            row = fold_all(None, history)
            if row is not None:
                counter.rows += 1
                self._write(kind_of(stream), waiting[kind_of(stream)], row)
        for kind, rows in waiting.items():
            self._flush(kind, rows)
        return counter.events, counter.rows

    def compare(self) -> dict[str, Difference]:
        """By name, the tables that differ."""
        pairs = [(table, self.twins[kind]) for kind, table in STATES.items()]
        found = {table.name: self._difference(table, twin) for table, twin in pairs}
        return {name: difference for name, difference in found.items() if difference != Difference(0, 0, 0)}

    def put_right(self) -> None:
        """Make the state tables equal to their twins: children go first, parents come first."""
        for kind, table in reversed(STATES.items()):
            self.conn.execute(delete(table).where(_is_alone(table, self.twins[kind])))
        for kind, table in STATES.items():
            twin = self.twins[kind]
            right = {column.name: twin.c[column.name] for column in table.columns}
            self.conn.execute(update(table).where(_is_same(table, twin), _differs(table, twin)).values(right))
            missing = select(twin).where(_is_alone(twin, table))
            self.conn.execute(insert(table).from_select(list(right), missing))

    def drop(self) -> None:
        """On SQLite they would otherwise last as long as the pooled connection."""
        for twin in self.twins.values():
            twin.drop(self.conn, checkfirst=False)

    def _write(self, kind: str, waiting: list[Row], row: Row) -> None:
        waiting.append(row)
        if len(waiting) >= BATCH:
            self._flush(kind, waiting)

    def _flush(self, kind: str, waiting: list[Row]) -> None:
        if waiting:
            self.conn.execute(insert(self.twins[kind]), waiting)
            waiting.clear()

    def _difference(self, table: Table, twin: Table) -> Difference:
        changed = select(func.count()).select_from(table.join(twin, _is_same(table, twin)))
        return Difference(
            missing=self._count(_count_of(twin).where(_is_alone(twin, table))),
            extra=self._count(_count_of(table).where(_is_alone(table, twin))),
            changed=self._count(changed.where(_differs(table, twin))),
        )

    def _count(self, query: Select[int]) -> int:
        return self.conn.scalar(query) or 0


@dataclass
class _Counter:
    events: int = 0
    rows: int = 0

    def count(self, recorded: Iterator[Event]) -> Iterator[Event]:
        for event in recorded:
            self.events += 1
            yield event


def _twin(table: Table, metadata: MetaData) -> Table:
    columns = [Column(column.name, column.type, primary_key=column.primary_key) for column in table.columns]
    return Table(f"shadow_{table.name}", metadata, *columns, prefixes=["TEMPORARY"])


def _by_stream(conn: Connection) -> Iterator[Event]:
    """The whole log, stream after stream, each oldest first."""
    place = tuple_(events.c.stream, events.c.version)
    query = select(events).order_by(events.c.stream, events.c.version).limit(BATCH)
    batch = conn.execute(query).all()
    while batch:
        yield from map(log.to_event, batch)
        batch = conn.execute(query.where(place > (batch[-1].stream, batch[-1].version))).all()


def _count_of(table: Table) -> Select[int]:
    return select(func.count()).select_from(table)


def _is_same(table: Table, twin: Table) -> ColumnElement[bool]:
    return and_(*(column == twin.c[column.name] for column in table.primary_key.columns))


def _is_alone(table: Table, other: Table) -> ColumnElement[bool]:
    return ~exists().where(_is_same(table, other))


def _differs(table: Table, twin: Table) -> ColumnElement[bool]:
    return or_(*(column.is_distinct_from(twin.c[column.name]) for column in table.columns))
