"""What a process remembers beside Redis: long enough, in bounded memory, and after its end."""

import os
from pathlib import Path

import pytest

from schema.recent import Journal, Recent, digest

LASTS_S, MOST = 600, 1_000
NOW_S = 1_700_000_000.0
"""Before the clock of any disk that this runs on."""


@pytest.mark.parametrize("began_s", [0, 100, 599], ids="added {} s into its generation".format)
def test_a_digest_is_known_as_long_as_was_promised(began_s: int) -> None:
    recent = Recent(LASTS_S, MOST)
    recent.add(digest("first"), 0)
    recent.add(digest("asked for"), began_s)
    for second in range(began_s + 1, began_s + LASTS_S + 1, 10):
        recent.add(digest(f"other {second}"), second)
        assert digest("asked for") in recent


def test_a_digest_is_forgotten_after_twice_that() -> None:
    recent = Recent(LASTS_S, MOST)
    for second in range(0, 2 * LASTS_S + 1, LASTS_S):
        recent.add(digest(f"at {second}"), second)
    assert digest("at 0") not in recent
    assert digest(f"at {2 * LASTS_S}") in recent


def test_many_are_bounded_and_the_newest_stay() -> None:
    recent = Recent(LASTS_S, MOST)
    for number in range(10 * MOST):
        recent.add(digest(str(number)), 0)
        assert len(recent) <= MOST
    assert all(digest(str(number)) in recent for number in range(10 * MOST - MOST // 2, 10 * MOST))


def written(folder: Path, *names: str, now_s: float = NOW_S, most: int = MOST) -> None:
    """By a process of its own, at a time of its own."""
    Journal(folder, LASTS_S, most).write([digest(name) for name in names], now_s)
    for path in folder.iterdir():
        if path.stat().st_mtime > now_s:  # the disk's clock is today's
            os.utime(path, (now_s, now_s))


def read(folder: Path, now_s: float = NOW_S) -> list[bytes]:
    return list(Journal(folder, LASTS_S, MOST).read(now_s))


def test_a_successor_knows_what_was_written(tmp_path: Path) -> None:
    written(tmp_path, "one", "two")
    written(tmp_path, "three")
    assert read(tmp_path) == [digest(name) for name in ("one", "two", "three")]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_torn_end_costs_only_what_was_torn(tmp_path: Path) -> None:
    written(tmp_path, "one")
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b"half")
    written(tmp_path, "two", now_s=NOW_S + 1)
    assert read(tmp_path) == [digest("one"), digest("two")]


def test_what_is_old_goes(tmp_path: Path) -> None:
    written(tmp_path, "old")
    written(tmp_path, "new", now_s=NOW_S + LASTS_S + 1)
    assert read(tmp_path, NOW_S + LASTS_S + 1) == [digest("new")]


def test_files_are_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    names = [str(number) for number in range(5 * MOST)]
    for at in range(0, len(names), 100):
        written(tmp_path, *names[at : at + 100], now_s=NOW_S + at / 1_000)
    found = read(tmp_path, NOW_S + 10)
    assert found == [digest(name) for name in names[-len(found) :]]
    assert MOST // 2 <= len(found) <= 2 * MOST
