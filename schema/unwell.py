"""What is not ok in an account, as badges tell it: by whom, of what, how bad; read anew only when something changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, func, select

from domain.conditions import Severity, State
from domain.ids import AccountId
from schema.control.engine import reading
from schema.control.tables import conditions, statuses

MOST = 20_000
"""Of an account; who has more not ok has other worries than the rest of their badges."""


@dataclass(frozen=True, slots=True)
class NotOk:
    """One group of a condition; `metric` is empty where the condition is not about one."""

    condition_id: UUID
    condition: str
    metric: str
    labels: Mapping[str, str]
    state: State
    severity: Severity
    since: datetime


class Unwell:
    """An account's statuses that are not ok, as last read: `found`, the newest first.

    For one reader at a time; a thread reads, whoever shows looks at `found`.
    """

    def __init__(self, engine: Engine, account_id: AccountId) -> None:
        self.found: Sequence[NotOk] = ()
        self._engine = engine
        self._account_id = account_id
        self._seen: tuple[Any, ...] | None = None

    def refresh(self) -> bool:
        """Whether anything is other than before; costs one small question when it is not."""
        with reading(self._engine) as conn:
            theirs = (statuses.c.account_id == self._account_id) & (statuses.c.state != State.OK.value)
            sums = select(func.count(), func.sum(statuses.c.version), func.max(statuses.c.since)).where(theirs)
            named = select(func.sum(conditions.c.version)).where(conditions.c.account_id == self._account_id)
            seen = (*conn.execute(sums).one(), conn.scalar(named))
            if seen == self._seen:
                return False
            known = select(conditions.c.id, conditions.c.name, conditions.c.spec)
            used = select(statuses.c.condition_id).where(theirs)
            names = {
                one.id: (one.name, _metric(one.spec)) for one in conn.execute(known.where(conditions.c.id.in_(used)))
            }
            rows = conn.execute(select(statuses).where(theirs).order_by(statuses.c.since.desc()).limit(MOST))
            self.found = [_not_ok(row, *names[row.condition_id]) for row in rows if row.condition_id in names]
        self._seen = seen
        return True


def _metric(spec: Mapping[str, Any]) -> str:
    return str(spec["rule"].get("query", {}).get("metric", ""))


def _not_ok(row: Any, name: str, metric: str) -> NotOk:
    return NotOk(row.condition_id, name, metric, row.labels, State(row.state), Severity(row.severity), row.since)
