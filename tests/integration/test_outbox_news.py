"""Only the newest word of a status is told, in order, and its end to whoever was told of it."""

from dataclasses import replace

from schema import routes
from tests.notices import HOUR, ME, MINUTE, NOW, SECOND, House, a_fire, its_end
from tests.sending import claim, finish, house, route, states

__all__ = ["house"]


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
