"""The nodes of a monitor: which there are, what each is to run, and what it tells of that."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.monitor_runs import KEEP_EVERY_S, Record, Status
from domain.monitors import Candidate, Spec, Target, allowed, finds
from domain.nodes import NodeState
from domain.rollouts import version_for
from schema.heartbeats import Contact
from schema.monitors import Monitor
from schema.nodes import NodeRow

SHOWN_MAX: Final = 200
SILENT_RUNS: Final = 3
SILENT_LEAST_S: Final = 60
ORDER: Final = ("failed", "timeout", "refused", "silent", "lacks", "off", "pending", "ok", "waits", "away")
"""States of a monitor on a node, what needs a hand first."""


@dataclass(frozen=True, slots=True)
class Line:
    """One node, as a row of the table.

    wants     the version it is to run; 0 for none
    checks_in seconds until its next ping, by its rhythm; None when that cannot be said
    """

    node: str
    node_state: NodeState
    state: str
    wants: int
    record: Record | None
    detail: str
    checks_in_s: float | None

    @property
    def statuses(self) -> Sequence[Status]:
        return self.record.statuses if self.record else ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All nodes of a monitor, counted, and as many as a page shows."""

    lines: Sequence[Line]
    total: int
    counts: Mapping[str, int]

    @property
    def running(self) -> int:
        return self.counts.get("ok", 0)

    @property
    def troubled(self) -> int:
        return sum(self.counts.get(state, 0) for state in ("failed", "timeout", "refused", "silent"))


def matching(target: Target, nodes: Sequence[NodeRow]) -> list[NodeRow]:
    """The nodes of a target; those that were given up are none."""
    live = (node for node in nodes if node.state != NodeState.DEREGISTERED)
    return [node for node in live if finds(target, Candidate(node.name, node.labels))]


def fleet(
    monitor: Monitor,
    nodes: Sequence[NodeRow],
    runs: Mapping[str, Record],
    contacts: Mapping[str, Contact],
    now: datetime,
    recalled: Collection[str] = (),
) -> Fleet:
    """What a monitor's nodes are up to.

    recalled  nodes whose run is not their last one, but the last one that is kept: Redis has lost theirs
    """
    lines = [
        _line(monitor, node, runs.get(node.name), contacts.get(node.name), now, is_recalled=node.name in recalled)
        for node in nodes
    ]
    ordered = sorted(lines, key=lambda line: (ORDER.index(line.state), line.node))
    return Fleet(ordered[:SHOWN_MAX], len(lines), Counter(line.state for line in lines))


def _line(
    monitor: Monitor,
    node: NodeRow,
    record: Record | None,
    contact: Contact | None,
    now: datetime,
    *,
    is_recalled: bool,
) -> Line:
    wants = 0 if monitor.is_paused else version_for(monitor.rollout, node.name)
    state, detail = _state(monitor, node, wants, record, now, KEEP_EVERY_S if is_recalled else 0)
    return Line(node.name, node.state, state, wants, record, detail, _checks_in_s(contact, now))


def _state(
    monitor: Monitor, node: NodeRow, wants: int, record: Record | None, now: datetime, older_s: int
) -> tuple[str, str]:
    spec = monitor.spec_of(wants) or monitor.pushed_spec or monitor.spec
    lacks = _lacks(spec, node)
    if lacks:
        return lacks
    if not wants:
        return "waits", "paused" if monitor.is_paused else "it runs none of its versions yet"
    if node.state == NodeState.OFFLINE:
        return "away", "offline"
    problem = str(node.agent.get("monitors_problem") or "")
    if record is None or record.version != wants:
        return ("refused", problem) if problem else ("pending", "")
    heard_s = now.timestamp() - record.heard_ms / 1000
    if heard_s > older_s + max(SILENT_LEAST_S, SILENT_RUNS * spec.interval_s) and node.state == NodeState.ONLINE:
        return "silent", "it has stopped reporting"
    return record.state, f"line {record.line}: {record.message}" if record.line else record.message


def _lacks(spec: Spec, node: NodeRow) -> tuple[str, str] | None:
    allows = allowed(node.agent)
    if allows is None:
        return "off", "its agent was started without --allow-monitors"
    missing = [name for name in spec.capabilities if name not in allows]
    return ("lacks", f"its agent does not allow {', '.join(missing)}") if missing else None


def _checks_in_s(contact: Contact | None, now: datetime) -> float | None:
    if contact is None or contact.presumed or not contact.interval:
        return None
    return max(0.0, (contact.last + contact.interval) / 1000 - now.timestamp())
