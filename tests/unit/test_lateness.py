"""Which samples came late, and how many batches of one delay are told as one."""

import pytest

from domain.lateness import LATE_S, Late, late, merge

NOW_S = 10_000.0


@pytest.mark.parametrize(
    ("oldest_s", "newest_s", "expected"),
    [
        (NOW_S - 10, NOW_S, None),
        (NOW_S - LATE_S + 1, NOW_S, None),
        (NOW_S - 600, NOW_S - 300, Late("a", NOW_S - 600, NOW_S - 300, NOW_S)),
        (NOW_S - 600, NOW_S, Late("a", NOW_S - 600, NOW_S - LATE_S, NOW_S)),
        (NOW_S - LATE_S, NOW_S, Late("a", NOW_S - LATE_S, NOW_S - LATE_S, NOW_S)),
    ],
    ids=["in time", "nearly late", "a backlog", "a backlog up to now", "just late"],
)
def test_what_of_a_batch_is_late(oldest_s: float, newest_s: float, expected: Late | None) -> None:
    assert late("a", oldest_s, newest_s, NOW_S) == expected


def test_batches_of_one_delay_are_one() -> None:
    found = [Late("a", 60, 110, 700), Late("a", 0, 50, 600), Late("b", 0, 50, 650), Late("a", 900, 950, 1_100)]
    assert merge(found) == [Late("a", 0, 110, 700), Late("a", 900, 950, 1_100), Late("b", 0, 50, 650)]
    assert merge([]) == []


def test_a_batch_within_another_adds_nothing() -> None:
    assert merge([Late("a", 0, 500, 700), Late("a", 10, 20, 650)]) == [Late("a", 0, 500, 700)]
