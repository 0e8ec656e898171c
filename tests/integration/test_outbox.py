"""What is owed, handed out and kept: every delivery at least once, in order, and nothing for ever."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, update

from domain.deliveries import FLAP_PAUSE, FLAPS, LASTS, Notice, State
from domain.windows import parse as weekly
from schema import channels, outbox, outcomes, repeats, routes, silences
from schema.control import tables
from schema.outbox import AT_ONCE, LEASE, Claim
from schema.outcomes import Outcome
from tests.notices import HOUR, ME, MINUTE, NOW, SECOND, House, a_fire, its_end
from tests.racing import race


@pytest.fixture
def house(control: Engine) -> House:
    return House.build(control)


def claim(house: House, now: datetime, per_hour: int = 100) -> Claim | None:
    return outbox.claim(house.control, now, mails_per_hour=per_hour)


def finish(house: House, claimed: Claim | None, now: datetime, error: str = "", **more: Any) -> None:
    assert claimed
    code = more.pop("code", None if error else 204)
    outcome = Outcome(now, code, 12, error, **more)
    outcomes.record(house.control, claimed, outcome, now, 0.5, tells_owners=True)


def states(house: House) -> list[tuple[str, str]]:
    return [(row.kind, row.state) for row in house.rows()]


def route(house: House, *to: UUID, match: tuple[str, ...] = (), wait_s: int = 0, **more: Any) -> routes.RouteRow:
    draft = routes.Draft(match, to, group_wait_s=wait_s, **more)
    return routes.create(house.control, house.account_id, draft, NOW, actor=ME)


def test_a_fire_is_handed_out_once_and_kept(house: House) -> None:
    hook = house.webhook()
    fire = a_fire()
    assert house.owe(fire) == 1
    assert claim(house, NOW) is None, "a group waits a second for others"
    claimed = claim(house, NOW + SECOND)
    assert claimed and (claimed.channel.id, claimed.notices, claimed.tries) == (hook.id, [fire], 0)
    assert claim(house, NOW + SECOND) is None
    finish(house, claimed, NOW + SECOND)
    assert states(house) == [("firing", "sent")]
    (attempt,) = house.attempts()
    assert (attempt.code, attempt.latency_ms, attempt.error) == (204, 12, "")
    assert claim(house, NOW + HOUR) is None


def test_without_a_channel_it_is_kept_why_nobody_was_told(house: House) -> None:
    assert house.owe(a_fire()) == 0
    (row,) = house.rows()
    assert (row.state, row.reason, row.channel_id) == ("withheld", "no channel to tell", None)


def test_who_dies_with_a_message_loses_it_to_another_under_the_same_id(house: House) -> None:
    house.webhook()
    house.owe(a_fire())
    first = claim(house, NOW + SECOND)
    assert first and claim(house, NOW + LEASE) is None
    second = claim(house, NOW + SECOND + LEASE)
    assert second and (second.message_id, second.ids) == (first.message_id, first.ids)
    finish(house, first, NOW + 2 * LEASE)  # it was not dead but slow
    assert claim(house, NOW + 2 * LEASE) is None
    finish(house, second, NOW + 2 * LEASE)
    assert states(house) == [("firing", "sent")]


def test_of_many_who_ask_each_gets_another(house: House) -> None:
    for _ in range(12):
        house.webhook()
    house.owe(a_fire())
    found = race(6, lambda _: [claim(house, NOW + SECOND), claim(house, NOW + SECOND)])
    ids = [one.ids[0] for pair in found if isinstance(pair, list) for one in pair if one]
    assert len(ids) == len(set(ids)) > 0
    while another := claim(house, NOW + SECOND):
        ids += another.ids
    assert sorted(ids) == sorted(row.id for row in house.rows())


def test_what_fails_is_tried_again_later_and_at_last_is_dead(house: House) -> None:
    house.webhook()
    house.owe(a_fire())
    now, tries = NOW + SECOND, []
    while claimed := claim(house, now):
        tries.append((claimed.message_id, claimed.tries))
        finish(house, claimed, now, "answered 500", code=500)
        assert claim(house, now) is None
        now = house.rows()[0].next_attempt_at or now
    (row,) = house.rows()
    assert (row.state, row.reason) == ("dead", "answered 500")
    assert now == NOW + SECOND + LASTS and len({message_id for message_id, _ in tries}) == 1
    assert [count for _, count in tries] == list(range(len(tries))) and len(tries) > 10
    assert len(house.attempts()) == row.attempts == len(tries)


def test_a_receiver_that_asks_for_time_gets_it(house: House) -> None:
    house.webhook()
    house.owe(a_fire())
    finish(house, claim(house, NOW + SECOND), NOW + SECOND, "answered 429", code=429, retry_after=timedelta(minutes=7))
    assert house.rows()[0].next_attempt_at == NOW + SECOND + 7 * MINUTE


def test_a_stale_fire_is_replaced_by_its_end(house: House) -> None:
    house.webhook()
    fire = a_fire()
    house.owe(fire)
    finish(house, claim(house, NOW + SECOND), NOW + SECOND, "answered 500")
    house.owe(its_end(fire), now=NOW + MINUTE)
    assert states(house) == [("firing", "superseded"), ("resolved", "owed")]
    claimed = claim(house, NOW + MINUTE)
    assert claimed and [one.is_meanwhile for one in claimed.notices] == [True]
    finish(house, claimed, NOW + MINUTE)
    assert states(house) == [("firing", "superseded"), ("resolved", "sent")]


def test_what_comes_after_waits_for_what_is_being_sent(house: House) -> None:
    house.webhook()
    fire = a_fire()
    house.owe(fire)
    first = claim(house, NOW + SECOND)
    house.owe(its_end(fire), now=NOW + 2 * SECOND)
    assert claim(house, NOW + 2 * SECOND) is None
    finish(house, first, NOW + 3 * SECOND)
    assert states(house) == [("firing", "sent"), ("resolved", "owed")], "it was told, though it was out of date"
    second = claim(house, NOW + 4 * SECOND)
    assert second and second.notices[0].kind == "resolved"
    finish(house, second, NOW + 4 * SECOND)
    assert [row.repeat_at for row in house.rows()] == [None, None]


def test_the_end_goes_to_whom_the_fire_went_whatever_routes_say_by_then(house: House) -> None:
    old, new = house.webhook(), house.webhook()
    way = route(house, old.id)
    fire = a_fire()
    house.owe(fire)
    finish(house, claim(house, NOW), NOW)
    routes.change(house.control, house.account_id, way.id, routes.Draft((), (new.id,)), NOW, actor=ME)
    house.owe(its_end(fire), now=NOW + MINUTE)
    assert [(row.kind, row.channel_id) for row in house.rows()] == [("firing", old.id), ("resolved", old.id)]


def test_within_one_transaction_the_last_word_counts(house: House) -> None:
    """As when evaluation has caught up over an hour."""
    house.webhook()
    fire = a_fire()
    again = replace(fire, began_at=NOW + HOUR, at=NOW + HOUR, version=3)
    house.owe(fire, its_end(fire), again)
    assert states(house) == [("firing", "superseded"), ("resolved", "superseded"), ("firing", "owed")]


def fleet(size: int, **more: Any) -> list[Notice]:
    condition = uuid4()
    return [a_fire(condition, f"{n:064x}", labels={"node": f"web-{n}"}, **more) for n in range(size)]


def test_a_group_goes_out_as_one_message(house: House) -> None:
    house.webhook()
    fires = fleet(5)
    house.owe(*fires)
    claimed = claim(house, NOW + SECOND)
    assert claimed and len(claimed.ids) == 5 and claimed.group == {"condition": "CPU"}
    finish(house, claimed, NOW + SECOND, "answered 500")
    house.owe(*fleet(1), now=NOW + 2 * SECOND)
    late = claim(house, NOW + 3 * SECOND)
    assert late and len(late.ids) == 1, "what was tried stays what it was"
    again = claim(house, NOW + MINUTE)
    assert again and (again.message_id, again.ids) == (claimed.message_id, claimed.ids)
    assert {attempt.delivery_id for attempt in house.attempts()} == set(claimed.ids)


def test_what_is_left_of_a_message_is_another_message(house: House) -> None:
    house.webhook()
    fires = fleet(3)
    house.owe(*fires)
    first = claim(house, NOW + SECOND)
    finish(house, first, NOW + SECOND, "answered 500")
    house.owe(its_end(fires[0]), now=NOW + 2 * SECOND)
    end = claim(house, NOW + 2 * SECOND)
    assert end and [one.kind for one in end.notices] == ["resolved"]
    rest = claim(house, NOW + MINUTE)
    assert rest and first and len(rest.ids) == 2 and rest.message_id != first.message_id


def test_groups_are_made_by_labels(house: House) -> None:
    hook = house.webhook()
    route(house, hook.id, group_by=("node",))
    house.owe(*fleet(2), *fleet(2))
    sizes = []
    while claimed := claim(house, NOW):
        sizes.append((claimed.group["node"], len(claimed.ids)))
        finish(house, claimed, NOW)
    assert sorted(sizes) == [("web-0", 2), ("web-1", 2)]


def test_a_large_group_goes_out_in_parts(house: House) -> None:
    house.webhook()
    house.owe(*fleet(250))
    sizes = []
    while claimed := claim(house, NOW + SECOND):
        sizes.append(len(claimed.ids))
        finish(house, claimed, NOW + SECOND)
    assert sizes == [100, 100, 50]


def test_a_slow_channel_holds_up_only_itself(house: House) -> None:
    slow, fast = house.webhook(), house.webhook()
    route(house, slow.id, group_by=("node",), continues=True)
    house.owe(*fleet(AT_ONCE + 3))
    held = [claim(house, NOW) for _ in range(AT_ONCE)]
    assert all(held) and claim(house, NOW) is None
    route(house, fast.id)
    house.owe(a_fire(), now=NOW + SECOND)
    other = claim(house, NOW + SECOND)
    assert other and other.channel.id == fast.id


def silence(house: House, *match: str, hours: float = 1, now: datetime = NOW) -> silences.SilenceRow:
    draft = silences.Draft(match, now, now + hours * HOUR, note="upgrade")
    return silences.create(house.control, house.account_id, draft, now, actor=ME)


def test_a_silenced_fire_is_told_when_the_silence_ends(house: House) -> None:
    house.webhook()
    silence(house, "node=web-1")
    house.owe(a_fire())
    (row,) = house.rows()
    assert (row.state, row.reason, row.next_attempt_at) == ("owed", "silenced: upgrade", NOW + HOUR)
    assert claim(house, NOW + HOUR - SECOND) is None
    assert claim(house, NOW + HOUR)


def test_what_is_over_before_its_silence_is_told_to_nobody(house: House) -> None:
    house.webhook()
    silence(house, "node=web-1")
    fire = a_fire()
    house.owe(fire)
    house.owe(its_end(fire), now=NOW + MINUTE)
    assert states(house) == [("firing", "superseded"), ("resolved", "withheld")]
    assert claim(house, NOW + 2 * HOUR) is None


def test_a_silence_made_later_holds_what_waits(house: House) -> None:
    house.webhook()
    house.owe(a_fire())
    found = silence(house)
    assert claim(house, NOW + SECOND) is None
    assert house.rows()[0].reason == "silenced: upgrade"
    silences.end(house.control, house.account_id, found.id, NOW + MINUTE, actor=ME)
    assert claim(house, NOW + MINUTE), "ending it early lets go at once what it held"


def test_of_a_group_only_what_is_silenced_waits(house: House) -> None:
    house.webhook()
    house.owe(*fleet(3))
    silence(house, "node=web-1")
    claimed = claim(house, NOW + SECOND)
    assert claimed and sorted(one.labels["node"] for one in claimed.notices) == ["web-0", "web-2"]


def test_quiet_hours_let_through_what_is_critical(house: House) -> None:
    house.webhook(quiet=weekly(["Mon"], "11:00", "13:00", "UTC"))
    house.owe(a_fire(), a_fire(severity="critical", condition="Disk"))
    claimed = claim(house, NOW + SECOND)
    assert claimed and [one.severity for one in claimed.notices] == ["critical"]
    finish(house, claimed, NOW + SECOND)
    assert claim(house, NOW + HOUR - SECOND) is None
    assert claim(house, NOW + HOUR)


def flap(house: House, times: int, fire: Notice) -> datetime:
    now = NOW
    for n in range(times):
        one = replace(fire, began_at=now, at=now, version=2 * n + 1)
        house.owe(one, now=now)
        house.owe(its_end(one, SECOND), now=now + 2 * SECOND)
        if claimed := claim(house, now + 2 * SECOND):
            finish(house, claimed, now + 2 * SECOND)
        now += 10 * SECOND
    return now


def test_what_flaps_is_told_of_now_and_then(house: House) -> None:
    hook = house.webhook()
    route(house, hook.id)
    now = flap(house, 30, a_fire())
    sent = len(house.rows(state="sent"))
    assert sent <= FLAPS, "it was told a few times, then no more"
    assert len(house.rows(state="owed")) <= 1
    later = claim(house, now + FLAP_PAUSE)
    assert later and later.notices[0].kind == "resolved" and later.notices[0].changes >= FLAPS


def status_row(house: House, fire: Notice, **more: Any) -> None:
    _, condition_id, group = fire.stream.split("/")
    row = {
        "condition_id": UUID(condition_id), "group_sha256": group, "account_id": house.account_id,
        "labels": fire.labels, "state": "firing", "severity": "warning", "since": NOW, "value": 95.0,
        "message": "95 % now", "reading_at": NOW, "told": "firing", "told_since": fire.began_at,
        "acknowledged_note": "", "version": 1,
    }  # fmt: skip
    condition = {"id": UUID(condition_id), "account_id": house.account_id, "name": "CPU", "kind": "metric", "spec": {},
                 "is_enabled": True, "created_at": NOW, "version": 1}  # fmt: skip
    with house.control.begin() as conn:
        conn.execute(insert(tables.conditions).values(condition))
        conn.execute(insert(tables.statuses).values(row | more))


def sent_with_repeat(house: House, fire: Notice, repeat_s: int = 3_600) -> None:
    route(house, house.webhook().id, repeat_s=repeat_s)
    house.owe(fire)
    finish(house, claim(house, NOW), NOW)


def test_what_goes_on_firing_is_told_again(house: House) -> None:
    fire = a_fire()
    status_row(house, fire)
    sent_with_repeat(house, fire)
    assert repeats.owe_due(house.control, NOW + HOUR - SECOND) == 0
    assert repeats.are_due(house.control, NOW + HOUR)
    assert repeats.owe_due(house.control, NOW + HOUR) == 1
    assert repeats.owe_due(house.control, NOW + HOUR) == 0
    claimed = claim(house, NOW + HOUR)
    assert claimed and (claimed.notices[0].kind, claimed.notices[0].summary) == ("repeat", "95 % now")
    assert claimed.notices[0].thread == fire.thread
    finish(house, claimed, NOW + HOUR)
    assert [row.repeat_at for row in house.rows()] == [None, NOW + 2 * HOUR]


@pytest.mark.parametrize(
    "change",
    [{"told": "", "state": "ok"}, {"acknowledged_by": "user/me"}, {"told_since": NOW + MINUTE}],
    ids=["over", "acknowledged", "another incident"],
)
def test_what_is_over_or_acknowledged_is_not_told_again(house: House, change: dict[str, Any]) -> None:
    fire = a_fire()
    status_row(house, fire, **change)
    sent_with_repeat(house, fire)
    assert repeats.owe_due(house.control, NOW + HOUR) == 0
    assert not repeats.are_due(house.control, NOW + HOUR), "nor asked about for ever"


def test_a_recovery_ends_the_repeating(house: House) -> None:
    fire = a_fire()
    sent_with_repeat(house, fire)
    house.owe(its_end(fire), now=NOW + MINUTE)
    assert not repeats.are_due(house.control, NOW + 10 * HOUR)


def test_a_channel_that_is_gone_is_turned_off_and_its_owner_told(house: House) -> None:
    hook = house.webhook()
    house.owe(*fleet(1), a_fire(condition="Disk"))
    finish(house, claim(house, NOW + SECOND), NOW + SECOND, "answered 410", code=410)
    found = channels.find(house.control, house.account_id, hook.id)
    assert (found.is_enabled, found.disabled_reason) == (False, "its receiver answered 410 Gone")
    assert sorted(states(house)) == [("disabled", "owed"), ("firing", "dead"), ("firing", "withheld")]
    claimed = claim(house, NOW + SECOND)
    assert claimed and claimed.recipient.startswith("house-") and claimed.kind == "disabled"
    house.owe(a_fire(), now=NOW + HOUR)
    assert house.rows()[-1].reason == f"the channel {hook.name} is off"


def test_what_waits_for_a_channel_turned_off_is_not_sent(house: House) -> None:
    hook = house.webhook()
    house.owe(a_fire())
    channels.switch(house.control, house.account_id, hook.id, False, NOW, actor=ME)
    assert states(house) == [("firing", "withheld")] and claim(house, NOW + HOUR) is None


def test_the_log_of_a_deleted_channel_stays(house: House) -> None:
    hook = house.webhook(name="old hook")
    house.owe(a_fire())
    channels.remove(house.control, house.account_id, hook.id, NOW, actor=ME)
    (row,) = house.rows()
    assert (row.state, row.channel_id, row.facts["channel"]) == ("withheld", None, "old hook")


def test_an_unconfirmed_address_is_told_nothing(house: House) -> None:
    box = house.mailbox(is_verified=False)
    house.owe(a_fire())
    assert [row.state for row in house.rows()] == ["withheld"]
    assert not channels.confirm(house.control, box.id, "other@example.org", NOW)
    assert channels.confirm(house.control, box.id, "ops@example.org", NOW)
    assert house.owe(a_fire()) == 1


def test_so_many_mails_an_hour_and_no_more(house: House) -> None:
    house.mailbox()
    for n in range(4):
        house.owe(a_fire(condition=f"c{n}"))
    now = NOW + SECOND
    for _ in range(2):
        finish(house, claim(house, now, per_hour=2), now)
    assert claim(house, now, per_hour=2) is None
    waiting = house.rows(state="owed")
    assert {row.reason for row in waiting} == {"2 e-mails were sent within the hour"}
    assert claim(house, now + HOUR, per_hour=2)
    house.webhook()
    house.owe(a_fire(condition="other"), now=now)
    hook = claim(house, now + SECOND, per_hour=2)
    assert hook and hook.channel.kind == "webhook", "webhooks are not counted"


def test_whatever_is_owed_ends(house: House) -> None:
    """Nothing is owed for ever: failures, silences and quiet hours all end."""
    house.webhook()
    house.mailbox()
    house.webhook(quiet=weekly(["Mon"], "11:00", "13:00", "UTC"))
    silence(house, "node=web-1")
    house.owe(*fleet(4), a_fire())
    now = NOW
    for _ in range(400):
        while claimed := claim(house, now):
            finish(house, claimed, now, "no answer within 15 s")
        waiting = [row.next_attempt_at for row in house.rows(state="owed")]
        if not waiting:
            break
        now = max(min(waiting), now + SECOND)
    assert {row.state for row in house.rows()} == {State.DEAD}


def test_an_account_that_was_deleted_while_sending_leaves_nothing(house: House) -> None:
    from schema import accounts

    house.webhook()
    house.owe(a_fire())
    claimed = claim(house, NOW + SECOND)
    accounts.delete(house.control, house.account_id, NOW, actor=ME)
    finish(house, claimed, NOW + SECOND)
    assert house.rows() == []


def test_a_lease_does_not_outlive_a_message_that_was_replaced(house: House) -> None:
    house.webhook()
    fire = a_fire()
    house.owe(fire)
    assert claim(house, NOW + SECOND)
    house.owe(its_end(fire), now=NOW + 2 * SECOND)
    assert claim(house, NOW + 5 * SECOND) is None
    claimed = claim(house, NOW + SECOND + LEASE)
    assert claimed and claimed.notices[0].kind == "resolved"
    with house.control.begin() as conn:
        conn.execute(update(tables.deliveries).values(leased_until=None))
