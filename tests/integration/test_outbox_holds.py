"""What silences, quiet hours and flapping hold back, and what becomes of it then."""

from dataclasses import replace
from datetime import datetime

from domain.deliveries import FLAP_PAUSE, FLAPS, Notice
from domain.windows import parse as weekly
from schema import delivery_log, silences
from tests.notices import HOUR, ME, MINUTE, NOW, SECOND, House, a_fire, its_end
from tests.sending import claim, finish, fleet, house, route, silence, states

__all__ = ["house"]


def test_a_silenced_fire_is_told_when_the_silence_ends(house: House) -> None:
    house.webhook()
    silence(house, "node=web-1")
    house.owe(a_fire())
    (row,) = house.rows()
    assert (row.state, row.reason, row.next_attempt_at) == ("owed", "silenced: upgrade", NOW + HOUR)
    assert claim(house, NOW + HOUR - SECOND) is None
    finish(house, claim(house, NOW + HOUR), NOW + HOUR)
    (entry,), _ = delivery_log.list_for(house.control, house.account_id, delivery_log.Wanted())
    held = "silenced: upgrade, until 2026-01-05 13:00 UTC"
    assert (entry.state, entry.reason, entry.held) == ("sent", "", held), "it is known why it came late"


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
    assert house.rows()[0].facts["held"] == "silenced: upgrade, until 2026-01-05 13:00 UTC"
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
