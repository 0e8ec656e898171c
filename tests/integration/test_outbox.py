"""What is owed, handed out and kept: every delivery at least once, and nothing for ever."""

from datetime import timedelta

from sqlalchemy import update

from domain.deliveries import LASTS, State
from domain.windows import parse as weekly
from schema import accounts
from schema.control import tables
from schema.outbox import LEASE
from tests.notices import HOUR, ME, MINUTE, NOW, SECOND, House, a_fire, its_end
from tests.racing import race
from tests.sending import claim, finish, fleet, house, silence, states

__all__ = ["house"]


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
    house.webhook()
    house.owe(a_fire())
    claimed = claim(house, NOW + SECOND)
    accounts.delete(house.control, house.account_id, NOW, actor=ME)
    finish(house, claimed, NOW + SECOND)
    assert house.rows() == []
