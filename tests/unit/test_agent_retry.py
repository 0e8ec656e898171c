"""How long the agent waits before it asks again, and what it says about it."""

import logging
from email.utils import formatdate

import pytest

from agent.outage import Outage, spoken
from agent.retry import back_off_s, retry_after_s

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 7 ", 7),
        ("0", 1),
        ("999999999", 3600),
        (formatdate(NOW_S + 30, usegmt=True), 30),
        (formatdate(NOW_S - 30, usegmt=True), 1),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW_S) == seconds


@pytest.mark.parametrize(("failures", "limit_s", "most"), [(1, 60, 2), (3, 60, 8), (10, 60, 60), (5000, 60, 60)])
def test_back_off_has_full_jitter_below_its_bound(failures: int, limit_s: float, most: float) -> None:
    pauses = [back_off_s(failures, limit_s) for _ in range(300)]
    assert 0 <= min(pauses) < most / 4
    assert most * 3 / 4 < max(pauses) <= most


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.6, "1 min"), (125, "2 min 5 s"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h"), (3_605, "1 h 5 s")],
)
def test_durations_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_an_outage_is_told_once_by_the_first_and_ends_with_the_last(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage("http://server")
    outage.ended("ping")
    outage.began("ping", "trouble", "it is away")
    outage.began("snapshots", "trouble", "it is still away")
    outage.began("snapshots", "key", "the key was refused")
    outage.ended("ping")
    outage.ended("snapshots")
    outage.began("ping", "trouble", "it is away again")
    assert caplog.messages == [
        "it is away",
        "the key was refused",
        "http://server works again after 0 s",
        "it is away again",
    ]
