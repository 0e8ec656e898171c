"""Conditions and their statuses in the control DB: recorded whole, once, and by who was not outrun."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select

from domain import ticks
from domain.condition_specs import Condition, MetricRule, NodesRule, Spec
from domain.conditions import Policy, Reading, State, Status, advance, end, first
from domain.errors import NotFound
from domain.evaluation import Group, Move, group
from domain.ids import AccountId
from domain.query import Query
from schema import accounts, conditions, events, statuses, watermarks
from schema.control import tables
from schema.control.engine import reading
from schema.rebuild import rebuild
from schema.statuses import Judged, Outrun
from tests.racing import race

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = f"user/{uuid4()}"
CPU = Spec(MetricRule(Query("A", "cpu", by=("node",)), 60, 10, ">", 90.0))
WEB, DB = group({"node": "web-1"}), group({"node": "db-1"})
OVER, CALM = Reading(93.0, is_over=True, is_clear=False), Reading(5.0)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def an_account(control: Engine) -> AccountId:
    return accounts.create(control, "home", None, NOON).id


def a_condition(control: Engine, account_id: AccountId, spec: Spec = CPU) -> Condition:
    return conditions.create(control, account_id, "CPU", spec, NOON, actor=ME)


def moved(status: Status, reading: Reading, now: datetime, of: Group = WEB) -> Move:
    after, transition = advance(status, Policy(), reading, now)
    return Move(of, status, after, transition, now)


def judged(condition: Condition, before: datetime, to: datetime, *moves: Move) -> Judged:
    return Judged([condition], before, to, 10, [(condition, move) for move in moves])


def fire(control: Engine, condition: Condition, *groups: Group) -> None:
    moves = [moved(first(at(10)), OVER, at(10), one) for one in groups]
    statuses.record(control, condition.account_id, [judged(condition, NOON, at(10), *moves)], at(12))


def test_what_is_judged_is_recorded_with_the_watermark(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    assert watermarks.due(control, account, at(11)) == {}
    assert watermarks.due(control, account, at(12)) == {condition.id: NOON}
    fire(control, condition, WEB, DB)
    assert watermarks.due(control, account, at(12)) == {}
    assert watermarks.accounts_due(control, at(22)) == [account]
    found = statuses.list_for(control, account)
    assert {(one.group, one.status.state, one.status.since, one.status.value, one.version) for one in found} == {
        (WEB, State.FIRING, at(10), 93.0, 1),
        (DB, State.FIRING, at(10), 93.0, 1),
    }
    assert {one.group: one.status for one in found} == statuses.not_ok(control, condition.account_id)[condition.id]
    assert statuses.counts(control, account) == {State.FIRING: 2}


def test_several_moves_of_one_group_are_events_in_their_order(control: Engine) -> None:
    condition = a_condition(control, an_account(control))
    one = moved(first(at(10)), OVER, at(10))
    assert one.after
    other = moved(one.after, CALM, at(20))
    statuses.record(control, condition.account_id, [judged(condition, NOON, at(20), one, other)], at(600))
    with reading(control) as conn:
        told = events.read(conn, statuses.stream_of(condition.id, WEB))
    assert [(event.version, event.payload["to"], event.payload["at"]) for event in told] == [
        (1, "firing", at(10).isoformat()),
        (2, "ok", at(20).isoformat()),
    ]
    assert statuses.not_ok(control, condition.account_id) == {}


def test_who_judges_the_same_instants_again_records_nothing(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    fire(control, condition, WEB)
    with pytest.raises(Outrun):
        fire(control, condition, DB)
    assert [one.group for one in statuses.list_for(control, account)] == [WEB]
    assert watermarks.due(control, account, at(22)) == {condition.id: at(10)}


def test_of_two_who_judge_at_once_one_records(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)

    def work(_: int) -> str:
        try:
            fire(control, condition, WEB, DB)
        except Outrun:
            return "outrun"
        return "recorded"

    assert sorted(map(str, race(2, work))) == ["outrun", "recorded"]
    assert len(statuses.list_for(control, account)) == 2


def test_a_status_that_was_changed_meanwhile_outruns(control: Engine) -> None:
    condition = a_condition(control, an_account(control))
    fire(control, condition, WEB)
    with pytest.raises(Outrun):
        statuses.record(
            control,
            condition.account_id,
            [judged(condition, at(10), at(20), moved(first(at(20)), OVER, at(20)))],
            at(22),
        )


def test_an_acknowledgement_does_not_hold_up_what_follows_and_ends_with_the_incident(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    fire(control, condition, WEB, DB)
    assert statuses.acknowledge(control, account, condition, [WEB.sha256], "on  it", at(15), actor=ME) == 1
    assert statuses.acknowledge(control, account, condition, [WEB.sha256], "on it", at(16), actor=ME) == 0
    row = next(one for one in statuses.list_for(control, account) if one.group == WEB)
    assert (row.acknowledged_by, row.acknowledged_at, row.acknowledged_note) == (ME, at(15), "on it")
    statuses.record(
        control, condition.account_id, [judged(condition, at(10), at(20), moved(row.status, CALM, at(20)))], at(22)
    )
    row = next(one for one in statuses.of_condition(control, account, condition.id) if one.group == WEB)
    assert (row.status.state, row.acknowledged_by, row.version) == (State.OK, None, 3)


def test_nothing_of_another_account_is_found_or_acknowledged(control: Engine) -> None:
    account, other = an_account(control), an_account(control)
    condition = a_condition(control, account)
    fire(control, condition, WEB)
    assert statuses.list_for(control, other) == statuses.of_condition(control, other, condition.id) == []
    with pytest.raises(NotFound):
        statuses.acknowledge(control, other, condition, [WEB.sha256], "", at(15), actor=ME)
    for change in (
        lambda: conditions.find(control, other, condition.id),
        lambda: conditions.remove(control, other, condition.id, at(15), actor=ME),
        lambda: conditions.switch(control, other, condition.id, False, at(15), actor=ME),
        lambda: conditions.change(control, other, condition.id, "x", CPU, at(15), actor=ME),
    ):
        with pytest.raises(NotFound):
            change()


@pytest.mark.parametrize("how", ["remove", "switch", "change"])
def test_what_a_condition_said_ends_with_it(control: Engine, how: str) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    fire(control, condition, WEB, DB)
    match how:
        case "remove":
            conditions.remove(control, account, condition.id, at(15), actor=ME)
            assert conditions.list_for(control, account) == []
            assert watermarks.accounts_due(control, at(1000)) == []
        case "switch":
            assert not conditions.switch(control, account, condition.id, False, at(15), actor=ME).is_enabled
            assert watermarks.accounts_due(control, at(1000)) == []
            conditions.switch(control, account, condition.id, True, at(1000), actor=ME)
            assert watermarks.due(control, account, at(1012)) == {condition.id: at(1000)}
        case "change":
            conditions.change(control, account, condition.id, "nodes", Spec(NodesRule()), at(15), actor=ME)
            assert watermarks.due(control, account, at(18)) == {condition.id: at(14)}
    assert statuses.list_for(control, account) == []
    with reading(control) as conn:
        told = events.read(conn, statuses.stream_of(condition.id, WEB))
    assert [event.type for event in told] == ["status_moved", "status_ended"]
    assert told[-1].actor == ME
    assert rebuild(control).is_identical


def test_another_hold_leaves_what_it_said(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    fire(control, condition, WEB)
    longer = Spec(CPU.rule, hold_s=60)
    changed = conditions.change(control, account, condition.id, "CPU", longer, at(15), actor=ME)
    assert conditions.find(control, account, condition.id) == changed
    assert [one.group for one in statuses.list_for(control, account)] == [WEB]


def test_a_group_that_ended_can_begin_again(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    fire(control, condition, WEB)
    status = statuses.not_ok(control, condition.account_id)[condition.id][WEB]
    ended = Move(WEB, status, None, end(status, "gone", at(20)), at(20), "gone")
    statuses.record(control, condition.account_id, [judged(condition, at(10), at(20), ended)], at(22))
    assert statuses.of_condition(control, account, condition.id) == []
    statuses.record(
        control, condition.account_id, [judged(condition, at(20), at(30), moved(first(at(30)), OVER, at(30)))], at(32)
    )
    assert statuses.list_for(control, account)[0].version == 3
    assert rebuild(control).is_identical


def test_conditions_without_a_watermark_are_adopted(control: Engine) -> None:
    account = an_account(control)
    condition = a_condition(control, account)
    paused = a_condition(control, account)
    conditions.switch(control, account, paused.id, False, at(1), actor=ME)
    with control.begin() as conn:
        conn.execute(tables.watermarks.delete())
    assert watermarks.adopt(control, at(100)) == 1
    assert watermarks.adopt(control, at(100)) == 0
    assert watermarks.due(control, account, at(112)) == {condition.id: at(100)}
    assert watermarks.lag_s(control, at(115)) == 115 - 100 - 10 - ticks.LAG_S


def test_an_account_goes_with_its_conditions(control: Engine) -> None:
    account = an_account(control)
    fire(control, a_condition(control, account), WEB)
    accounts.delete(control, account, at(20), actor=ME)
    with reading(control) as conn:
        for table in (tables.conditions, tables.statuses, tables.watermarks):
            assert conn.execute(select(table)).all() == []
    assert rebuild(control).is_identical
