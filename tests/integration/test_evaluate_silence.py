"""Who falls silent is missed, but only by who could have heard it."""

from collections.abc import Sequence

import pytest

from domain.condition_specs import Spec
from domain.conditions import NoData
from schema import keys
from tests.watching import CPU, Watch, ms, replace_every, stores, watch
from workers import finding

__all__ = ["stores", "watch"]


@pytest.mark.parametrize(
    ("no_data", "expected"),
    [
        (NoData.SHOW, [(120, "web-1", "no_data"), (190, "web-1", "ok")]),
        (NoData.OK, []),
        (NoData.FIRING, [(120, "web-1", "firing"), (190, "web-1", "ok")]),
    ],
)
def test_who_falls_silent_is_missed(watch: Watch, no_data: NoData, expected: Sequence[object]) -> None:
    watch.condition(Spec(CPU, no_data=no_data, no_data_after_s=60))
    watch.send({5: 10, 15: 10})
    watch.hear(-3_600, 190)
    for second in range(12, 183, 10):
        watch.judge(second)
    watch.send({185: 10})
    watch.judge(192)
    assert watch.story() == expected


def test_nobody_is_missed_who_could_not_be_heard(watch: Watch) -> None:
    watch.condition(Spec(CPU, no_data=NoData.NOTIFY, no_data_after_s=60))
    watch.send({5: 10})
    watch.judge(122)  # no sign of anyone who takes what is sent
    watch.hear(130, 182)
    watch.sync.zadd(keys.OUTAGES, {f"{ms(20)}-{ms(130)}": ms(130)})
    watch.judge(182)  # back for less than a minute
    assert watch.story() == []
    watch.hear(130, 242)
    watch.judge(242)
    assert watch.story() == [(240, "web-1", "no_data")]


def test_a_series_that_was_not_heard_for_long_is_judged_no_longer(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FORGOTTEN_AFTER_S", 1_200)
    watch.condition(Spec(replace_every(CPU, 60), no_data=NoData.NOTIFY))
    watch.send({5: 95})
    watch.hear(-3_600, 1_800)
    watch.judge(1_802)
    assert watch.story() == [(60, "web-1", "firing"), (360, "web-1", "no_data"), (1_260, "web-1", "ended")]
