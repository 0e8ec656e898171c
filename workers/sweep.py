"""What is due, from the truth: nodes whose silence has crossed a limit are moved on, and the move is an event.

The control DB decides what a node is; Redis only says who was heard when and whom to look at. While nobody takes pings
nothing is judged, and what Redis has lost is put back from the control DB.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import redis
import structlog
from sqlalchemy import Connection, Engine

from domain.commands import Kind, order
from domain.errors import NotFound
from domain.ids import AccountId
from domain.liveness import Hearing
from domain.nodes import CLASH_SHOWN, NodeState, Said
from domain.settings import Settings
from schema import accounts, commands, events, hearing, heartbeats, keys, nodes
from schema.accounts import AccountRow
from schema.heartbeats import Contact, Judged
from schema.lua import redis_faults
from schema.nodes import NodeRow
from workers.cases import Case, judge

log = structlog.get_logger()
_AT_MOST = 2_000
_MOVED_AT_ONCE = 200
_DEREGISTER_LASTS_MS = 86_400_000
_DEADLINE_SLACK_MS = 1_000


def sweep_liveness(control: Engine, client: redis.Redis, settings: Settings, now: datetime) -> int:
    """Judge every node whose deadline has come; returns how many changed state. Raises StoreUnavailable."""
    now_ms = _ms(now)
    heard = hearing.read(client)
    if heard is None or now_ms - heard.at_ms > hearing.GAP_MS:
        return 0  # nobody takes pings just now: silence proves nothing
    known = {account.id: account for account in accounts.list_all(control)}
    moved = 0
    for account_id, names in heartbeats.due(client, list(known), now_ms, _AT_MOST).items():
        moved += _sweep_account(control, client, settings, known[account_id], names, heard, now)
    return moved


def reconcile(control: Engine, client: redis.Redis, settings: Settings, now: datetime) -> int:
    """Put nodes right whose Redis side does not fit the control DB; returns how many. Raises StoreUnavailable.

    Redis was flushed, or died between a recorded move and its settling, or our clock was set back, or the limit of an
    account was changed. Only the sweep moves nodes; this makes sure that it looks at them.
    """
    heard = hearing.read(client)
    if heard is None:
        return 0  # a flush goes on to the first sign that we hear
    live: dict[AccountId, list[NodeRow]] = {}
    for node in nodes.all_live(control):
        live.setdefault(node.account_id, []).append(node)
    found = accounts.list_all(control)
    astray = sum(_reconcile_account(client, settings, one, live.get(one.id, ()), heard, _ms(now)) for one in found)
    if astray:
        log.info("deadlines_restored", nodes=astray)
    return astray


def _reconcile_account(
    client: redis.Redis,
    settings: Settings,
    account: AccountRow,
    live: Sequence[NodeRow],
    heard: Hearing,
    now_ms: int,
) -> int:
    names = [node.name for node in live]
    contacts = heartbeats.read_contacts_sync(client, account.id, names)
    deadlines = heartbeats.deadlines(client, account.id)
    cases = [judge(node, contacts.get(node.name), settings, account.deregister_after_s, heard, now_ms) for node in live]
    astray = [case for case in cases if case.is_astray or _is_overlooked(case, deadlines, now_ms)]
    heartbeats.settle(client, account.id, [_put_back(case, now_ms) for case in astray], now_ms)
    strangers = heartbeats.known(client, account.id) - set(names)  # removed, or deregistered, and Redis missed it
    heartbeats.look_at(client, account.id, strangers, now_ms)
    return len(astray)


def _is_overlooked(case: Case, deadlines: Mapping[str, int], now_ms: int) -> bool:
    """Whether the sweep would never look, or later than it must."""
    deadline_ms = deadlines.get(case.node.name)
    return deadline_ms is None or deadline_ms > _look_ms(case, now_ms) + _DEADLINE_SLACK_MS


def _put_back(case: Case, now_ms: int) -> Judged:
    return case.settled(case.node.state, _look_ms(case, now_ms))


def _look_ms(case: Case, now_ms: int) -> int:
    """When the sweep must look: at once where it will find something to record."""
    due_ms = case.due_ms
    return now_ms if case.is_news or due_ms is None else due_ms


def _sweep_account(
    control: Engine,
    client: redis.Redis,
    settings: Settings,
    account: AccountRow,
    names: Sequence[str],
    heard: Hearing,
    now: datetime,
) -> int:
    contacts = heartbeats.read_contacts_sync(client, account.id, names)
    rows = _met(control, account.id, names, contacts, now)
    known = [rows[name] for name in names if name in rows]
    limit_s = account.deregister_after_s
    cases = [judge(node, contacts.get(node.name), settings, limit_s, heard, _ms(now)) for node in known]
    news = [case for case in cases if case.is_news]
    for start in range(0, len(news), _MOVED_AT_ONCE):
        _record(control, client, news[start : start + _MOVED_AT_ONCE], now)
    for case in cases:  # before they are forgotten: until then a sweep that was cut short comes back to them
        if case.verdict.state == NodeState.DEREGISTERED and not case.node.is_ephemeral:
            _tell_deregistered(client, case.node, _ms(now))
    judged = [case.settled(case.verdict.state, case.due_ms) for case in cases]
    heartbeats.settle(client, account.id, judged, _ms(now))
    _forget(client, account.id, set(names) - rows.keys(), contacts, _ms(now))
    return sum(case.has_moved for case in cases)


def _met(
    control: Engine, account_id: AccountId, names: Sequence[str], contacts: Mapping[str, Contact], now: datetime
) -> dict[str, NodeRow]:
    """The nodes of these names; one whose first contact came while the control DB was away is registered.

    A name that was a node's before, and is none's any more, is one that was removed.
    """
    rows = nodes.find_many(control, account_id, names)
    unmet = {name: contact for name, contact in contacts.items() if name not in rows and not contact.node}
    if unmet:
        said = {name: Said(contact.instance or None) for name, contact in unmet.items()}
        rows |= {node.name: node for node in nodes.meet(control, account_id, said, now)}
    return rows


def _record(control: Engine, client: redis.Redis, cases: Sequence[Case], now: datetime) -> None:
    """What is news as events, one commit; then whoever watches is told."""

    def work(conn: Connection) -> list[tuple[Case, str]]:
        return [(case, event) for case in cases for event in _append_if_known(conn, case, now)]

    for case, event in events.retrying(control, work):
        node = case.node
        log.info(event, node=node.name, account_id=str(node.account_id), before=node.state.value)
        message = {"type": event, "node": node.name, "at": now.timestamp()}
        with redis_faults():
            client.publish(keys.events_channel(node.account_id), json.dumps(message))


def _append_if_known(conn: Connection, case: Case, now: datetime) -> list[str]:
    """The types of the events that were recorded; none for a node that was removed meanwhile."""
    try:
        return _append(conn, case, now)
    except NotFound:
        return []


def _append(conn: Connection, case: Case, now: datetime) -> list[str]:
    node, clock = case.node, case.agent_clock
    recorded = []
    if case.has_moved:
        state = case.verdict.state
        moved = nodes.transition_in(conn, node.account_id, node.id, state, cause=case.cause, now=now, agent_clock=clock)
        recorded += [] if moved is None else [f"node_{state.value}"]
    if case.is_back:
        nodes.note_back_in(conn, node.account_id, node.id, now=now, agent_clock=clock)
        recorded.append("node_back")
    if case.leaves and case.farewell is not None:
        nodes.note_away_in(
            conn,
            node.account_id,
            node.id,
            case.away_until,
            reason=case.farewell.reason,
            now=case.left_at,
            agent_clock=clock,
        )
        recorded.append("node_away")
    return [*recorded, *_append_clash(conn, case, now)]


def _append_clash(conn: Connection, case: Case, now: datetime) -> list[str]:
    who, since = (case.node.account_id, case.node.id), case.node.clash_since
    if case.clash_begins:
        nodes.note_clash_in(conn, *who, case.instances, now=now, agent_clock=case.agent_clock)
        return ["node_clash_began"]
    if case.clash_ends and since is not None:
        nodes.note_clash_over_in(conn, *who, max(0, round((now - since - CLASH_SHOWN).total_seconds())), now=now)
        return ["node_clash_ended"]
    return []


def _tell_deregistered(client: redis.Redis, node: NodeRow, now_ms: int) -> None:
    told = order(node.name, Kind.DEREGISTER, now_ms, _DEREGISTER_LASTS_MS)
    commands.issue_sync(client, node.account_id, told)


def _forget(
    client: redis.Redis, account_id: AccountId, names: set[str], contacts: Mapping[str, Contact], now_ms: int
) -> None:
    """What Redis keeps of nodes that are no more; one that was heard meanwhile is looked at again."""
    judged = [
        Judged(name, contacts[name].last, NodeState.DEREGISTERED.value, None, 0, 0) for name in names & contacts.keys()
    ]
    heartbeats.settle(client, account_id, judged, now_ms)
    if names - contacts.keys():
        with redis_faults():
            client.zrem(keys.deadlines(account_id), *(names - contacts.keys()))


def _ms(now: datetime) -> int:
    return int(now.timestamp() * 1000)
