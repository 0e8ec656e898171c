"""What goes on firing is told again, until it is over or somebody is on it."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from domain.deliveries import Notice
from schema import repeats
from schema.control import tables
from tests.notices import HOUR, MINUTE, NOW, SECOND, House, a_fire, its_end
from tests.sending import claim, finish, house, route

__all__ = ["house"]


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
