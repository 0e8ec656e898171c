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

ARENAS = """
import re, threading
from pathlib import Path
from metrist import capacity
capacity.make_room()
have, told = threading.Barrier(17), threading.Barrier(17)
def take():
    held = [bytes(2_000) for _ in range(2_000)]
    have.wait(20)
    told.wait(20)
for _ in range(16):
    threading.Thread(target=take).start()
have.wait(20)
ends = re.findall(r"^[0-9a-f]+-([0-9a-f]+) ---p", Path("/proc/self/maps").read_text(), re.MULTILINE)
told.wait(20)
print(sum(int(end, 16) % 2**26 == 0 for end in ends))  # each arena's reserve ends at a multiple of 64 MB
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


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas, and trims them")


@glibc
def test_threads_share_an_arena() -> None:
    done = subprocess.run([sys.executable, "-c", ARENAS], capture_output=True, text=True, timeout=30, check=True)
    assert int(done.stdout) <= capacity.ARENAS


@glibc
def test_what_lies_free_between_what_stays_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=30, check=True)
    assert int(done.stdout) > 20_000_000  # of 40 MB in holes of almost five pages each
