"""Takes statuses that are reported: what changed is recorded at once, with what it owes; the rest costs no commit."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import redis.asyncio
from sqlalchemy import Connection, Engine

from domain import status_reports
from domain.condition_specs import Condition, ReportedRule
from domain.conditions import State, advance, first
from domain.evaluation import Move
from domain.ids import AccountId
from domain.status_reports import Said
from schema import conditions, events, reports, statuses
from schema.reports import Report

REPORTED_MAX = 500
"""Names of an account; a program that makes up names must not take the place of what people make."""


async def report(
    control: Engine, client: redis.asyncio.Redis, account_id: AccountId, node: str, said: Sequence[Said], now: datetime
) -> dict[UUID, State]:
    """Take what a node says; returns the conditions that changed by it, and to what.

    Raises StoreUnavailable and LimitReached: then nothing of it is kept, and it is to be sent again, or never.
    """
    told = {one.field: (name, one) for name, one in (_report(account_id, node, each, now) for each in said)}
    known = await reports.latest(client, account_id, list(told))
    news = [each for field, each in told.items() if field not in known or known[field].level != each[1].level]
    changed = await asyncio.to_thread(record, control, account_id, news, now) if news else {}
    await reports.keep(client, account_id, [one for _, one in told.values()])
    return changed


def record(
    control: Engine, account_id: AccountId, told: Sequence[tuple[str, Report]], now: datetime
) -> dict[UUID, State]:
    """Advance these statuses, and make the conditions of names that are new. Raises LimitReached, StoreUnavailable."""

    def work(conn: Connection) -> dict[UUID, State]:
        events.hold(conn)
        moves = [move for name, one in told if (move := _move(conn, account_id, name, one, now))]
        statuses.record_in(conn, account_id, moves, now)
        return {condition.id: move.after.state for condition, move in moves if move.after}

    return events.retrying(control, work)


def _report(account_id: AccountId, node: str, said: Said, now: datetime) -> tuple[str, Report]:
    """With the name that it goes by."""
    group = status_reports.group_of(node, said)
    return said.name, Report(conditions.reported_id(account_id, said.name), group, said.state, said.message, now)


def _move(
    conn: Connection, account_id: AccountId, name: str, one: Report, now: datetime
) -> tuple[Condition, Move] | None:
    condition = conditions.reported(conn, account_id, status_reports.spec_for(name), now, at_most=REPORTED_MAX)
    rule = condition.spec.rule
    if not condition.is_enabled or not isinstance(rule, ReportedRule):
        return None
    before = statuses.status_in(conn, condition.id, one.group) or first(now)
    after, transition = advance(before, condition.spec.policy, rule.reading(one.level, one.message), now)
    if transition is None and after.quiet_since == before.quiet_since:
        return None
    return condition, Move(one.group, before, after, transition, now)
