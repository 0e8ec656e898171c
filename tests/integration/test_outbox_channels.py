"""Channels that are gone, off, deleted, unconfirmed, or have had enough e-mails for an hour."""

import pytest

from domain.errors import LimitReached
from schema import channels, routes, silences
from tests.notices import HOUR, ME, NOW, SECOND, House, a_fire
from tests.sending import claim, finish, fleet, house, route, silence, states

__all__ = ["house"]


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


def test_an_account_has_so_many_channels_routes_and_silences(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = house.webhook()
    for module in (channels, routes, silences):
        monkeypatch.setattr(module, "MOST", 1)
    route(house, hook.id)
    silence(house, "node=web-1")
    for another in (house.webhook, lambda: route(house, hook.id), lambda: silence(house, "node=web-2")):
        with pytest.raises(LimitReached):
            another()
