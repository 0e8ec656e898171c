"""What is remembered of ClickHouse's answers: for how long, for whom, and how much of it."""

from uuid import UUID

import pytest

from domain.ids import AccountId
from domain.series import KEPT_S, kept_s
from schema.answers import Answers, question_of

MINE, THEIRS = AccountId(UUID(int=1)), AccountId(UUID(int=2))


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Asked:
    """Counts how often it is asked; each answer is another."""

    def __init__(self, size: int = 100) -> None:
        self.times = 0
        self.size = size

    def __call__(self) -> bytes:
        self.times += 1
        return bytes([self.times]) * self.size


def test_an_answer_is_given_again_for_a_minute() -> None:
    clock, ask = Clock(), Asked()
    answers = Answers(clock=clock)
    first = answers.remember(MINE, "q", ask, len)
    clock.now_s += KEPT_S - 0.1
    assert answers.remember(MINE, "q", ask, len) == (first[0], True)
    clock.now_s += 0.2
    again, is_remembered = answers.remember(MINE, "q", ask, len)
    assert (again, is_remembered, ask.times) == (b"\x02" * 100, False, 2)


@pytest.mark.parametrize(
    ("step_s", "is_closed", "expected"),
    [
        (10, True, 60),
        (7_200, True, 60),
        (10, False, 0),
        (59, False, 0),
        (60, False, 1),
        (300, False, 5),
        (7_200, False, 60),
    ],
)
def test_what_is_open_is_kept_for_a_sixtieth_of_its_step(step_s: int, is_closed: bool, expected: float) -> None:
    for_s = kept_s(step_s, is_closed=is_closed)
    assert for_s == expected
    clock, ask = Clock(), Asked()
    answers = Answers(clock=clock)
    answers.remember(MINE, "q", ask, len, for_s)
    clock.now_s += max(0.0, for_s - 0.1)
    assert answers.remember(MINE, "q", ask, len, for_s)[1] == (for_s > 0)
    clock.now_s += 0.2
    assert not answers.remember(MINE, "q", ask, len, for_s)[1]


def test_it_counts_from_when_it_was_asked_for() -> None:
    """What is stored while a slow answer is made is not in it, and must not wait longer for that."""
    clock = Clock()
    answers = Answers(clock=clock)

    def slow() -> bytes:
        clock.now_s += KEPT_S / 2
        return b"1"

    answers.remember(MINE, "q", slow, len)
    clock.now_s += KEPT_S / 2
    assert answers.remember(MINE, "q", lambda: b"2", len) == (b"2", False)


def test_accounts_share_nothing() -> None:
    answers = Answers(clock=Clock())
    answers.remember(MINE, "q", lambda: b"mine", len)
    assert answers.remember(THEIRS, "q", lambda: b"theirs", len) == (b"theirs", False)
    assert answers.remember(MINE, "q", lambda: b"new", len) == (b"mine", True)


def test_an_error_is_not_remembered() -> None:
    answers = Answers(clock=Clock())
    with pytest.raises(ZeroDivisionError):
        answers.remember(MINE, "q", lambda: 1 // 0, lambda _: 1)
    assert answers.remember(MINE, "q", lambda: b"1", len) == (b"1", False)


def test_bytes_are_bounded_and_the_least_used_goes_first() -> None:
    answers = Answers(bytes_max=10_000, clock=Clock())
    for number in range(8):
        answers.remember(MINE, number, Asked(1_000), len)
        assert answers.remember(MINE, 0, Asked(), len)[1]
        assert answers.bytes_kept <= 10_000
    assert not answers.remember(MINE, 1, Asked(1_000), len)[1]
    assert answers.remember(MINE, 7, Asked(), len)[1]


def test_one_answer_never_pushes_out_all_others() -> None:
    answers = Answers(bytes_max=10_000, clock=Clock())
    answers.remember(MINE, "small", Asked(), len)
    answers.remember(MINE, "huge", Asked(9_000), len)
    assert answers.remember(MINE, "small", Asked(), len)[1]
    assert not answers.remember(MINE, "huge", Asked(9_000), len)[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"nodes": ["a", "b"]}, {"nodes": ["b", "a"]}),
        ({"nodes": ["a", "b"]}, {"nodes": ["a,b"]}),
        ({"nodes": ["1"]}, {"nodes": [1]}),
        ({"from_s": 1}, {"to_s": 1}),
        ({"label_0": "['a']"}, {"label_0": ["a"]}),
    ],
)
def test_questions_differ_by_what_they_ask(one: dict[str, object], other: dict[str, object]) -> None:
    assert question_of("SELECT 1", one) == question_of("SELECT 1", dict(one))
    assert question_of("SELECT 1", one) != question_of("SELECT 1", other)
    assert question_of("SELECT 1", one) != question_of("SELECT 2", one)


def test_what_nobody_asks_for_again_is_let_go_when_it_is_over() -> None:
    """Windows move with the clock: an hour of them would otherwise stay until the bound pushed them out."""
    clock = Clock()
    answers = Answers(clock=clock)
    most = 0
    for number in range(3_600):
        answers.remember(MINE, number, Asked(1_000), len, KEPT_S if number % 3 else 1)
        clock.now_s += 1
        most = max(most, answers.bytes_kept)
    assert 60 * 1_000 <= most <= 62 * 1_600
