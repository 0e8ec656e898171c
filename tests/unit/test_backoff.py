"""A crashed process is started again soon, then ever more slowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrist.backoff import FIRST_S, LONGEST_S, RAN_WELL_S, delay_s, failures_after

JITTERS = st.floats(0, 1, exclude_max=True)


def test_the_first_restart_comes_at_once() -> None:
    assert delay_s(1, 0.99) <= FIRST_S


@given(st.integers(1, 10_000), JITTERS, JITTERS)
def test_a_wait_is_bounded_and_the_next_is_at_least_half_as_long(failures: int, jitter: float, other: float) -> None:
    wait_s = delay_s(failures, jitter)
    assert FIRST_S / 2 <= wait_s <= LONGEST_S
    assert delay_s(failures + 1, other) >= wait_s / 2


@pytest.mark.parametrize(
    ("failures", "lived_s", "then"),
    [
        pytest.param(0, 0.1, 1, id="first failure"),
        pytest.param(4, 0.1, 5, id="in a row"),
        pytest.param(4, RAN_WELL_S, 1, id="after a good run"),
    ],
)
def test_failures_count_in_a_row(failures: int, lived_s: float, then: int) -> None:
    assert failures_after(failures, lived_s) == then
