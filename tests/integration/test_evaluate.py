"""Conditions judged on real stores, by a clock that the tests turn: nothing skipped, nothing doubled."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import select

from domain.condition_specs import Capture, Spec
from domain.ids import AccountId
from domain.query import Query
from schema import conditions, keys, readings, recordings, statuses, watermarks
from schema.clickhouse_client import ClickHouse
from schema.control import tables
from schema.control.engine import reading
from schema.rebuild import rebuild
from tests.racing import race
from tests.watching import CPU, ME, START, Watch, at, ms, replace_every, replace_query, stores, watch
from workers import finding
from workers.evaluate import evaluate

__all__ = ["stores", "watch"]
WAVE = {second: 95.0 if second % 200 >= 100 else 10.0 for second in range(0, 720, 5)}


def test_a_condition_fires_and_ends_at_the_instants_that_say_so(watch: Watch) -> None:
    watch.condition(Spec(CPU, hold_s=20))
    watch.send({5: 10, 15: 95, 25: 95, 35: 95, 45: 10})
    for second in (12, 22, 32, 42, 52):
        watch.judge(second)
    assert watch.story() == [(20, "web-1", "pending"), (40, "web-1", "firing"), (50, "web-1", "ok")]


def test_nothing_is_judged_before_what_was_sent_can_be_read(watch: Watch) -> None:
    watch.condition()
    watch.send({5: 95})
    watch.judge(11.4)
    assert watch.story() == []
    watch.judge(12)
    assert watch.story() == [(10, "web-1", "firing")]


def test_who_was_stopped_for_ten_minutes_finds_what_who_was_not_found(watch: Watch) -> None:
    condition = watch.condition(Spec(CPU, hold_s=20, keep_firing_s=10))
    watch.send(WAVE)
    other = Watch(watch.stores, watch, watch.sync)  # type: ignore[arg-type]
    other.condition(Spec(CPU, hold_s=20, keep_firing_s=10))
    other.send(WAVE)
    for second in range(12, 713, 10):
        watch.judge(second)
    other.judge(105)
    assert len(other.story()) == 0
    other.judge(712)
    assert len(watch.story()) >= 9
    assert other.story() == watch.story()
    assert watermarks.due(watch.stores.control, watch.account_id, at(722)) == {condition.id: at(710)}
    assert rebuild(watch.stores.control).is_identical


def test_who_was_away_for_days_passes_over_what_is_too_old(watch: Watch) -> None:
    watch.condition(replace_every(CPU, 300))
    watch.send(dict.fromkeys(range(0, 90000, 100), 95.0))
    watch.judge(90_002)
    assert watch.story() == [(90_002 - 6 * 3_600 + 300 - (90_002 % 300), "web-1", "firing")]


def test_two_who_judge_at_once_record_it_once(watch: Watch) -> None:
    watch.condition()
    watch.send(WAVE)
    race(3, lambda _: watch.judge(712))
    watch.judge(712)
    seconds = [second for second, _, _ in watch.story()]
    assert seconds == sorted(set(seconds))
    assert len(seconds) == 7


def test_many_conditions_on_one_metric_cost_one_question(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        rule = replace_query(CPU, Query("A", "cpu", (f"node=web-{number}",), by=("node",)), threshold=85.0 + number)
        watch.condition(rule, f"CPU of web-{number}")
    watch.send({5: 100.0}, *[f"web-{number}" for number in range(30)])
    asked: list[str] = []
    ask = readings.ask
    monkeypatch.setattr(readings, "ask", lambda *args: asked.append(args[1]) or ask(*args))
    watch.judge(22)
    assert len(asked) == 2  # two instants, neither the first of its minute
    assert {(node, state) for _, node, state in watch.story()} >= {(f"web-{n}", "firing") for n in range(15)}
    assert {node for _, node, _ in watch.story()} == {f"web-{n}" for n in range(15)}


def test_a_store_that_is_away_puts_it_off_and_skips_nothing(watch: Watch) -> None:
    watch.condition()
    watch.send(WAVE)
    down = replace(watch.stores, clickhouse=ClickHouse("http://nobody:x@127.0.0.1:9/none"))
    evaluate(down, at(300), str(watch.account_id))
    assert watch.story() == []
    watch.judge(712)
    assert len(watch.story()) == 7


def test_who_asks_for_too_much_fails_alone(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = watch.condition(replace_query(CPU, Query("A", "cpu")), "wide")
    watch.condition(name="narrow")
    monkeypatch.setattr(finding, "GROUPS_MAX", 2)
    watch.send({5: 95}, "a", "b")
    watch.send({5: 95, 15: 10}, "c")
    conditions.change(watch.stores.control, watch.account_id, wide.id, "wide", wide.spec, START, actor=ME)
    watch.judge(12)
    assert sorted(watch.story()) == [(10, "", "error"), (10, "", "error")]
    watch.judge(22)
    assert sorted(watch.story())[2:] == [(20, "", "ok"), (20, "", "ok")]


def test_another_accounts_samples_are_never_judged(watch: Watch) -> None:
    watch.condition()
    watch.send({5: 95}, account=AccountId(uuid4()))
    watch.judge(12)
    assert watch.story() == []


def test_the_values_of_what_fires_are_at_hand_for_pages(watch: Watch) -> None:
    condition = watch.condition()
    watch.send({5: 95, 15: 97})
    watch.judge(22)
    row = statuses.list_for(watch.stores.control, watch.account_id)[0]
    assert row.status.value == 95
    kept: Any = watch.sync.hgetall(keys.readings(watch.account_id))
    assert list(kept) == [f"{condition.id}:{row.group.sha256}".encode()]
    assert msgspec.msgpack.decode(kept[f"{condition.id}:{row.group.sha256}".encode()]) == [97.0, ms(20)]


def test_open_pages_hear_of_it(watch: Watch) -> None:
    condition = watch.condition()
    watch.send({5: 95})
    with watch.sync.pubsub() as heard:
        heard.subscribe(keys.events_channel(watch.account_id))
        heard.get_message(timeout=5)
        watch.judge(12)
        message = heard.get_message(timeout=5)
    assert message
    assert msgspec.json.decode(message["data"]) == {"type": "status", "condition": str(condition.id), "state": "firing"}


def test_what_is_recorded_is_owed_in_the_same_breath(watch: Watch) -> None:
    watch.condition()
    watch.send({5: 95, 15: 10})
    watch.judge(12)
    watch.judge(22)
    with reading(watch.stores.control) as conn:
        owed = conn.execute(select(tables.deliveries).order_by(tables.deliveries.c.stream_version)).mappings().all()
    assert [(one["kind"], one["stream_version"], one["state"], one["reason"]) for one in owed] == [
        ("firing", 1, "withheld", "no channel to tell"),
        ("resolved", 2, "withheld", "nobody was told that it fired"),
    ]
    assert owed[0]["facts"]["labels"] == {"node": "web-1"}


def test_a_condition_arms_a_capture_of_its_node(watch: Watch) -> None:
    watch.condition(Spec(CPU, capture=Capture("firing", 2)))
    watch.send({5: 95})
    watch.judge(12)
    found = recordings.list_for(watch.stores.control, watch.account_id, "web-1")
    assert [(one.metrics, one.every_ms, one.note, one.started_by) for one in found] == [
        (["cpu"], 1_000, "CPU firing", "system")
    ]
    assert watch.sync.get(keys.recording(watch.account_id, "web-1")) == str(found[0].id).encode()
    assert watch.sync.hlen(keys.live_viewers(watch.account_id, "web-1")) == 1
    with reading(watch.stores.control) as conn:
        facts = conn.scalar(select(tables.deliveries.c.facts))
    assert facts
    assert facts["recording"].endswith(f"/recordings/{found[0].id}")


def test_catching_up_captures_nothing_that_is_past(watch: Watch) -> None:
    watch.condition(Spec(CPU, capture=Capture("firing", 2)))
    watch.send({5: 95})
    watch.judge(300)
    assert recordings.list_for(watch.stores.control, watch.account_id, "web-1") == []
