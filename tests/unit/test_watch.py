"""How long a piece may be silent: one that hangs not long, one that is only busy much longer, none for ever."""

import pytest

from metrist.watch import Patience, Silence

PATIENCE = Patience(starting_s=120, hung_s=30, busy_s=300)
ANSWERS, BEATS, NOTHING = (True, True), (False, True), (False, False)
CASES = [
    ("answers", ANSWERS, 1_000, ""),
    ("is silent for a while", NOTHING, 30, ""),
    ("hangs", NOTHING, 32, "no answer for 30 s"),
    ("is busy", BEATS, 300, ""),
    ("is busy for ever", BEATS, 302, "busy, and no answer for 300 s"),
]


@pytest.mark.parametrize(("state", "until_s", "reason"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_a_piece_is_ended_when_its_silence_says_that_it_hangs(
    state: tuple[bool, bool], until_s: int, reason: str
) -> None:
    silence = Silence(0.0)
    silence.note(0.0, answered=True, beaten=False)
    for second in range(2, until_s + 1, 2):
        assert silence.too_long(PATIENCE, second - 2) == ""
        silence.note(second, answered=state[0], beaten=state[1])
    assert silence.too_long(PATIENCE, until_s) == reason


def test_a_start_may_take_longer() -> None:
    silence = Silence(0.0)
    for second in range(1, 120):
        silence.note(second, answered=False, beaten=False)
    assert silence.too_long(PATIENCE, 119) == ""
    assert silence.too_long(PATIENCE, 121) == "no answer for 120 s"


def test_a_machine_that_slept_has_missed_no_answers() -> None:
    silence = Silence(0.0)
    silence.note(0.0, answered=True, beaten=True)
    silence.note(3_600.0, answered=False, beaten=False)
    assert silence.too_long(PATIENCE, 3_600.0) == ""
