"""What is due, from the truth: nodes whose silence has crossed a limit are moved on, and the move is an event.

The control DB decides what a node is; Redis only says who was heard when and whom to look at. While nobody takes pings
nothing is judged, and what Redis has lost is put back from the control DB.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
import structlog
from sqlalchemy import Connection, Engine

from domain import liveness
from domain.commands import Kind, order
from domain.ids import AccountId
from domain.liveness import Hearing, Verdict
from domain.nodes import NodeState
from domain.settings import Settings
from schema import accounts, commands, events, hearing, heartbeats, keys, nodes
from schema.heartbeats import Contact, Judged
from schema.lua import redis_faults
from schema.nodes import NodeRow

log = structlog.get_logger()
_AT_MOST = 2_000
_MOVED_AT_ONCE = 200
_DEREGISTER_LASTS_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Case:
    """One node to judge; `contact` is None when Redis has no record of it."""

    node: NodeRow
    contact: Contact | None
    interval_ms: int
    last_ms: int
    silence_ms: int
    verdict: Verdict

    @property
    def has_moved(self) -> bool:
        return self.verdict.state != self.node.state

    @property
    def is_astray(self) -> bool:
        """Redis has no record, or one of another state, or one whose contact lies in the future."""
        if self.contact is None:
            return True
        return self.contact.state not in ("", self.node.state) or self.contact.last != self.last_ms


def sweep_liveness(control: Engine, client: redis.Redis, settings: Settings, now: datetime) -> int:
    """Judge every node whose deadline has come; returns how many changed state. Raises StoreUnavailable."""
    now_ms = _ms(now)
    heard = hearing.read(client)
    if heard is None or now_ms - heard.at_ms > hearing.GAP_MS:
        return 0  # nobody takes pings just now: silence proves nothing
    ids = [account.id for account in accounts.list_all(control)]
    moved = 0
    for account_id, names in heartbeats.due(client, ids, now_ms, _AT_MOST).items():
        moved += _sweep_account(control, client, settings, account_id, names, heard, now)
    return moved


def reconcile(control: Engine, client: redis.Redis, settings: Settings, now: datetime) -> int:
    """Put live nodes right whose Redis side does not fit the control DB; returns how many. Raises StoreUnavailable.

    Redis was flushed, or died between a recorded move and its settling, or our clock was set back. Only the sweep
    moves nodes; this makes sure that it looks at them.
    """
    heard = hearing.read(client)
    if heard is None:
        return 0  # a flush goes on to the first sign that we hear
    live: dict[AccountId, list[NodeRow]] = {}
    for node in nodes.all_live(control):
        live.setdefault(node.account_id, []).append(node)
    astray = sum(_reconcile_account(client, settings, found, heard, _ms(now)) for found in live.values())
    if astray:
        log.info("deadlines_restored", nodes=astray)
    return astray


def _reconcile_account(
    client: redis.Redis, settings: Settings, live: Sequence[NodeRow], heard: Hearing, now_ms: int
) -> int:
    account_id, names = live[0].account_id, [node.name for node in live]
    contacts = heartbeats.read_contacts_sync(client, account_id, names)
    with_deadline = heartbeats.with_deadline(client, account_id, names)
    cases = [_judge(node, contacts.get(node.name), settings, heard, now_ms) for node in live]
    astray = [case for case in cases if case.is_astray or case.node.name not in with_deadline]
    heartbeats.settle(client, account_id, [_put_back(case, now_ms) for case in astray], now_ms)
    return len(astray)


def _put_back(case: _Case, now_ms: int) -> Judged:
    """The recorded state, and when the sweep must look: at once where it will find a move."""
    due_ms = now_ms if case.has_moved else case.verdict.due_ms
    return _settled(case, case.node.state, due_ms)


def _sweep_account(
    control: Engine,
    client: redis.Redis,
    settings: Settings,
    account_id: AccountId,
    names: Sequence[str],
    heard: Hearing,
    now: datetime,
) -> int:
    rows = nodes.find_many(control, account_id, names)
    contacts = heartbeats.read_contacts_sync(client, account_id, names)
    for name in set(names) - rows.keys():
        contact = contacts.get(name)
        if contact is not None:  # its contact came while the control DB was away
            rows[name] = nodes.register(control, account_id, name, contact.instance or None, now)
    cases = [_judge(rows[name], contacts.get(name), settings, heard, _ms(now)) for name in names if name in rows]
    moved = [case for case in cases if case.has_moved]
    for start in range(0, len(moved), _MOVED_AT_ONCE):
        _record(control, client, moved[start : start + _MOVED_AT_ONCE], now)
    judged = [_settled(case, case.verdict.state, case.verdict.due_ms) for case in cases]
    heartbeats.settle(client, account_id, judged, _ms(now))
    _forget(client, account_id, set(names) - rows.keys())
    return len(moved)


def _judge(node: NodeRow, contact: Contact | None, settings: Settings, heard: Hearing, now_ms: int) -> _Case:
    interval_ms = (contact.interval if contact else 0) or settings.ping_interval_s * 1000
    limits = liveness.limits(
        interval_ms,
        settings.late_after_pings,
        settings.offline_after_pings,
        settings.deregister_after_s,
        settings.grace_s,
    )
    last_ms = liveness.credible_last_ms(contact.last if contact else None, node.state, now_ms, limits)
    silence_ms = liveness.silence_ms(last_ms, now_ms, heard.outages)
    verdict = liveness.judge(node.state, last_ms, now_ms, limits, heard)
    return _Case(node, contact, interval_ms, last_ms, silence_ms, verdict)


def _record(control: Engine, client: redis.Redis, cases: Sequence[_Case], now: datetime) -> None:
    """The moves as events, one commit; then whoever watches is told, and who was given up gets its order."""

    def work(conn: Connection) -> list[_Case]:
        return [case for case in cases if _move(conn, case, now) is not None]

    for case in events.retrying(control, work):
        node, state = case.node, case.verdict.state
        log.info(f"node_{state.value}", node=node.name, account_id=str(node.account_id), before=node.state.value)
        message = {"type": f"node_{state.value}", "node": node.name, "at": now.timestamp()}
        with redis_faults():
            client.publish(keys.events_channel(node.account_id), json.dumps(message))
        if state == NodeState.DEREGISTERED:
            told = order(node.name, Kind.DEREGISTER, _ms(now), _DEREGISTER_LASTS_MS)
            commands.issue_sync(client, node.account_id, told)


def _move(conn: Connection, case: _Case, now: datetime) -> NodeRow | None:
    is_back = case.verdict.state == NodeState.ONLINE
    cause = "contact" if is_back else f"silent for {case.silence_ms // 1000} s"
    return nodes.transition_in(
        conn,
        case.node.account_id,
        case.node.id,
        case.verdict.state,
        cause=cause,
        now=now,
        agent_clock=_agent_clock(case),
    )


def _agent_clock(case: _Case) -> datetime | None:
    """What the agent's clock showed at its last contact, as far as it told."""
    if case.contact is None or case.contact.skew is None:
        return None
    return datetime.fromtimestamp((case.contact.last + case.contact.skew) / 1000, UTC)


def _settled(case: _Case, state: NodeState, due_ms: int | None) -> Judged:
    seen_ms = case.contact.last if case.contact else None
    return Judged(case.node.name, seen_ms, state.value, due_ms, case.last_ms, case.interval_ms)


def _forget(client: redis.Redis, account_id: AccountId, names: set[str]) -> None:
    """Deadlines of nodes that neither store knows."""
    if names:
        with redis_faults():
            client.zrem(keys.deadlines(account_id), *names)


def _ms(now: datetime) -> int:
    return int(now.timestamp() * 1000)
