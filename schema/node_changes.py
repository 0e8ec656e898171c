"""The nodes of an account as lists show them, and which of them changed since: the event log tells.

Reading 10,000 nodes takes a tenth of a second and more; reading the few that changed takes a millisecond.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Select, func, select

from domain.events import key_of
from domain.ids import AccountId, NodeId
from domain.nodes import NodeState
from schema.control.engine import reading
from schema.control.tables import events, nodes
from schema.nodes import NAMES_AT_ONCE

MANY = 2_000
"""So many changed nodes are read one by one; for more, all are read at once."""
_COLUMNS = [nodes.c[name] for name in ("id", "name", "state", "labels", "is_ephemeral")]


@dataclass(frozen=True, slots=True)
class ListedNode:
    """What a list of nodes needs of `schema.nodes.NodeRow`."""

    id: NodeId
    name: str
    state: NodeState
    labels: Mapping[str, str]
    is_ephemeral: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What the log told.

    seq    up to where it was read; ask again from here
    nodes  as they are now
    gone   those that are no more
    """

    seq: int
    nodes: Sequence[ListedNode] = ()
    gone: frozenset[NodeId] = frozenset()


def read_all(engine: Engine, account_id: AccountId) -> Changes:
    """Every node of the account."""
    with reading(engine) as conn:
        seq = _last_seq(conn, account_id)  # first: what is recorded meanwhile is then read twice, not never
        return Changes(seq, _rows(conn, select(*_COLUMNS).where(nodes.c.account_id == account_id)))


def read_since(engine: Engine, account_id: AccountId, seq: int) -> Changes | None:
    """The nodes with an event after `seq`; None when they are so many that `read_all` is cheaper."""
    with reading(engine) as conn:
        last = _last_seq(conn, account_id)
        if last <= seq:
            return Changes(seq)
        changed = _changed(conn, account_id, seq, last)
        if len(changed) > MANY:
            return None
        found = [
            node
            for start in range(0, len(changed), NAMES_AT_ONCE)
            for node in _rows(conn, _of(account_id, changed[start : start + NAMES_AT_ONCE]))
        ]
        return Changes(last, found, frozenset(changed) - {node.id for node in found})


def _last_seq(conn: Connection, account_id: AccountId) -> int:
    return conn.scalar(select(func.max(events.c.seq)).where(events.c.account_id == account_id)) or 0


def _changed(conn: Connection, account_id: AccountId, seq: int, last: int) -> list[NodeId]:
    streams = conn.scalars(
        select(events.c.stream)
        .where(events.c.account_id == account_id, events.c.seq > seq, events.c.seq <= last)
        .where(events.c.stream.like("node/%"))
        .distinct()
        .limit(MANY + 1)
    )
    return [NodeId(UUID(key_of(stream)[0])) for stream in streams]


def _of(account_id: AccountId, ids: Sequence[NodeId]) -> Select[Any]:
    return select(*_COLUMNS).where(nodes.c.account_id == account_id, nodes.c.id.in_(ids))


def _rows(conn: Connection, query: Select[Any]) -> list[ListedNode]:
    return [ListedNode(row[0], row[1], NodeState(row[2]), *row[3:]) for row in conn.execute(query)]
