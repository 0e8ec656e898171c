"""Which tier a graph and its comparisons are read from, and what its values are measured in."""

from typing import Any

import pytest

from dashboards.answers import Asked, plan_for, unit_for
from dashboards.format import Unit
from domain.query import Formula, Graph, Query
from domain.series import Retention, Window

DAY_S = 86_400
NOW_S = 1_767_225_600.0
KEPT = Retention(30 * DAY_S, 400 * DAY_S, 1_830 * DAY_S)


@pytest.mark.parametrize(
    ("length_s", "shift", "tier", "step_s"),
    [
        pytest.param(3_600, (), "raw", 10, id="now alone"),
        pytest.param(3_600, ("1d",), "raw", 10, id="both are kept"),
        pytest.param(3_600, ("1d", "8w"), "1m", 60, id="samples of then are gone"),
        pytest.param(3_600, ("60w",), "1h", 3_600, id="minutes of then are gone"),
        pytest.param(30 * DAY_S, ("1w",), "1h", 7_200, id="a tier that has both anyhow"),
    ],
)
def test_a_comparison_is_read_from_a_tier_that_has_both(
    length_s: float, shift: tuple[str, ...], tier: str, step_s: int
) -> None:
    plan = plan_for(Asked(Graph(shift=shift), Window(NOW_S - length_s, NOW_S)), KEPT, NOW_S)
    assert (plan.resolution.name, plan.step_s) == (tier, step_s)
    assert plan.from_s % step_s == 0 and plan.to_s % step_s == 0


BYTES = Query("A", "disk.used_bytes")
PERCENT = Query("B", "cpu.usage_percent")


@pytest.mark.parametrize(
    ("graph", "unit"),
    [
        pytest.param({"queries": (BYTES,)}, Unit.BYTES, id="as its metric says"),
        pytest.param({"queries": (BYTES, PERCENT)}, Unit.COUNT, id="two units are none"),
        pytest.param({"queries": (BYTES, PERCENT), "unit": "hertz"}, "hertz", id="as it is told"),
        pytest.param({"queries": (Query("A", "disk.used_bytes", hidden=True), PERCENT)}, Unit.PERCENT, id="the seen"),
        pytest.param({"queries": (Query("A", "net.bytes", over="rate"),)}, Unit.BYTES_PER_S, id="growth"),
        pytest.param({"queries": (Query("A", "net.bytes", by=(), across="count"),)}, Unit.COUNT, id="how many"),
        pytest.param({"queries": (BYTES,), "formulas": (Formula("F1", "A / A"),)}, Unit.COUNT, id="formulas have none"),
    ],
)
def test_units(graph: dict[str, Any], unit: str) -> None:
    assert unit_for(Graph(**graph)) == unit
