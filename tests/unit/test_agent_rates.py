"""Counters into rates."""

from agent.parts.cpu import shares
from agent.rates import Rates


def test_a_rate_needs_two_readings_and_a_counter_that_grew() -> None:
    rates = Rates()
    assert rates.update({"grows": 100, "reset": 100, "gone": 1}, now_s=50) == {}
    assert rates.update({"grows": 150, "reset": 10, "new": 7}, now_s=60) == {"grows": 5.0}
    assert rates.update({"grows": 150, "reset": 20, "new": 8, "gone": 9}, now_s=70) == {
        "grows": 0.0,
        "reset": 1.0,
        "new": 0.1,
    }


def test_two_readings_at_one_instant_have_no_rate() -> None:
    rates = Rates()
    rates.update({"a": 1}, now_s=5)
    assert rates.update({"a": 2}, now_s=5) == {}


def test_shares_of_processor_time() -> None:
    before = {"user": 10.0, "system": 5.0, "idle": 100.0, "iowait": 3.0, "guest": 2.0}
    after = {"user": 14.0, "system": 6.0, "idle": 104.0, "iowait": 4.0, "guest": 4.0}
    assert shares(before, after) == {"usage": 50.0, "user": 40.0, "system": 10.0, "iowait": 10.0}


def test_shares_when_iowait_fell_or_the_counters_were_reset() -> None:
    before = {"user": 10.0, "idle": 100.0, "iowait": 3.0}
    assert shares(before, {"user": 15.0, "idle": 105.0, "iowait": 2.0}) == {"usage": 50.0, "user": 50.0, "iowait": 0.0}
    assert shares(before, {"user": 1.0, "idle": 1.0, "iowait": 0.0}) == {}
    assert shares(before, before) == {}
