"""The API's process makes room for a fleet."""

import gc
import platform
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from metrist import capacity

CHILD = """
import gc, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
from metrist import capacity
capacity.make_room()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), gc.get_freeze_count() > 1_000, gc.get_threshold()[0] > 700)
"""

HOLES = """
from pathlib import Path
from metrist import capacity
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
stays = [bytes(20_000) for _ in range(4_000)][::2]
before = resident()
capacity.give_back()
print(before - resident())
"""


def test_every_agent_may_have_its_connection_and_garbage_is_rarely_looked_for() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "512 512 True True\n"


def test_garbage_goes_by_the_clock_and_costs_a_thousandth_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, took_s, collected = [1000.0], [0.01], []

    def collect() -> int:
        collected.append(now_s[0])
        now_s[0] += took_s[0]
        return 0

    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(gc, "collect", collect)
    tidier = capacity.Tidier()
    for _ in range(100):
        tidier.turn()
        now_s[0] += 1
    assert [30 <= later - earlier < 32 for earlier, later in pairwise([1000.0, *collected])] == [True] * 3
    took_s[0] = 0.5
    for _ in range(1_000):
        tidier.turn()
        now_s[0] += 1
    assert [30 <= later - earlier < 32 for earlier, later in pairwise(collected[2:])] == [True, False]
    assert 500 <= collected[4] - collected[3] < 502


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to give back what lies free")
def test_what_lies_free_between_what_stays_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=30, check=True)
    assert int(done.stdout) > 20_000_000  # of 40 MB in holes of almost five pages each
