"""An outbox whose messages tests hand out and end, by a clock that they turn."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from domain.deliveries import Notice
from schema import outbox, outcomes, routes, silences
from schema.outbox import Claim
from schema.outcomes import Outcome
from tests.notices import HOUR, ME, NOW, House, a_fire


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


def fleet(size: int, **more: Any) -> list[Notice]:
    condition = uuid4()
    return [a_fire(condition, f"{n:064x}", labels={"node": f"web-{n}"}, **more) for n in range(size)]


def silence(house: House, *match: str, hours: float = 1, now: datetime = NOW) -> silences.SilenceRow:
    draft = silences.Draft(match, now, now + hours * HOUR, note="upgrade")
    return silences.create(house.control, house.account_id, draft, now, actor=ME)
