"""Troubles that come a thousand times a second are counted always, and logged seldom."""

import pytest
from structlog.testing import capture_logs

from api import seldom
from api.seldom import Seldom


def test_a_storm_is_a_line_each_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(seldom.time, "monotonic", lambda: now_s[0])
    found = Seldom()
    with capture_logs() as logs:
        for n in range(2_000):
            now_s[0] = n / 100
            found.warn("heartbeat_lost", OSError("no"))
            found.warn("heartbeat_lost", TimeoutError("no"))
    assert [(line["error"], line["times"]) for line in logs] == [
        ("OSError", 1),
        ("TimeoutError", 1),
        ("OSError", 1_001),
        ("TimeoutError", 1_001),
    ]
    assert sum(found.counts.values()) == 4_000
