"""Statuses that agents report: recorded at once, held and missed by the clock."""

import msgspec
import redis.asyncio

from domain.condition_specs import Level
from domain.status_reports import Said
from schema import conditions, reporting
from schema.control import tables
from tests.watching import ME, Watch, at, stores, watch

__all__ = ["stores", "watch"]


def said(watch: Watch, second: float, state: Level, name: str = "backup") -> None:
    """web-1 reports."""

    async def work(client: redis.asyncio.Redis) -> None:
        told = [Said(name, state)]
        await reporting.report(watch.stores.control, client, watch.account_id, "web-1", told, at(second))

    watch.run(work)


def test_a_report_is_recorded_at_once_and_what_it_is_held_for_by_the_clock(watch: Watch) -> None:
    said(watch, 0, "ok")
    (condition,) = conditions.list_for(watch.stores.control, watch.account_id)
    held = msgspec.structs.replace(condition.spec, hold_s=20, keep_firing_s=10)
    conditions.change(watch.stores.control, watch.account_id, condition.id, "backup", held, at(0), actor=ME)
    said(watch, 5, "critical")
    for second in (12, 22, 32):
        watch.judge(second)
    said(watch, 33, "ok")
    for second in (42, 52):
        watch.judge(second)
    assert watch.story() == [(5, "web-1", "pending"), (30, "web-1", "firing"), (50, "web-1", "ok")]


def test_a_report_that_is_not_repeated_is_missed(watch: Watch) -> None:
    said(watch, 0, "ok")
    (condition,) = conditions.list_for(watch.stores.control, watch.account_id)
    soon = msgspec.structs.replace(condition.spec, no_data_after_s=60)
    conditions.change(watch.stores.control, watch.account_id, condition.id, "backup", soon, at(0), actor=ME)
    watch.hear(-600, 200)
    for second in (12, 62, 72):
        watch.judge(second)
    assert watch.story() == [(70, "web-1", "no_data")]
    said(watch, 75, "ok")
    watch.judge(82)
    assert watch.story()[1:] == [(80, "web-1", "ok")]


def test_reports_that_redis_lost_leave_what_is_recorded(watch: Watch) -> None:
    said(watch, 0, "critical")
    watch.sync.flushall()
    watch.hear(-600, 200)
    watch.judge(200)
    assert watch.story() == [(0, "web-1", "firing")]
    said(watch, 205, "critical")
    said(watch, 210, "ok")
    assert watch.story()[1:] == [(210, "web-1", "ok")]


def test_what_is_not_reported_for_a_day_is_judged_no_longer(watch: Watch) -> None:
    day = 86_400
    watch.hear(-3_600, 20)
    said(watch, 0, "critical")
    watch.judge(12)
    with watch.stores.control.begin() as conn:  # as if it had been judged all day
        late = {"evaluated_to": at(day), "due_at": at(day + 12)}
        conn.execute(tables.watermarks.update().values(late))
    watch.hear(-3_600, day + 20)
    watch.judge(day + 12)
    watch.judge(day + 22)
    assert [state for _, _, state in watch.story()] == ["firing", "no_data", "ended"]
