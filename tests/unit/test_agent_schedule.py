"""When snapshots are taken."""

import math
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import Schedule, phase_of

INSTANTS = st.floats(0, 1e7)


@given(st.sampled_from([0.2, 1.0, 10.0, 60.0]), st.floats(0, 1), INSTANTS, st.floats(1.7e9, 1.9e9), INSTANTS)
def test_the_next_instant_is_ahead_on_the_grid_and_never_far(
    interval_s: float, part: float, start_s: float, wall_s: float, later_s: float
) -> None:
    phase_s = part * interval_s
    schedule = Schedule(interval_s, phase_s, start_s, wall_s)
    now_s = start_s + later_s
    due_s = schedule.next_after(now_s)
    assert -1e-5 <= due_s - now_s <= interval_s + 1e-5
    on_the_wall = (wall_s + due_s - start_s - phase_s) / interval_s
    assert math.isclose(on_the_wall, round(on_the_wall), rel_tol=0, abs_tol=1e-4)


def test_missed_instants_are_skipped() -> None:
    schedule = Schedule(10, phase_s=0, now_s=100, wall_s=1_000)
    assert schedule.next_after(100) == 110
    assert schedule.next_after(111.5) == 120
    assert schedule.next_after(4_711) == 4_720


def test_agents_spread_over_the_interval() -> None:
    assert phase_of(UUID(int=0), 10) == 0
    assert phase_of(UUID(int=2**127), 10) == 5
    assert phase_of(UUID(int=2**128 - 1), 10) <= 10
