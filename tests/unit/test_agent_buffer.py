"""Snapshots on disk: nothing is lost, nothing is counted twice, and there is an end to it."""

import json
import logging
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import buffer as buffer_module
from agent.batch import Batch
from agent.buffer import Buffer


def opened(root: Path, max_bytes: int = 64_000_000) -> Buffer:
    for name in ("buffer", "rejected"):
        (root / name).mkdir(exist_ok=True)
    return Buffer(root / "buffer", root / "rejected", max_bytes)


def snapshot(number: int, size: int = 0) -> bytes:
    return json.dumps({"node": "web-1", "ts": number, "metrics": {"m": 1}, "pad": "x" * size}).encode()


def drained(buffer: Buffer) -> list[tuple[str, list[int]]]:
    """Batch ids with the numbers of their snapshots, in the order they are sent."""
    batches = []
    while batch := buffer.next_batch(newest=False):
        batches.append((batch.id, [json.loads(line).get("ts") for line in buffer.read(batch).splitlines()]))
        buffer.remove(batch)
    return batches


def test_a_batch_keeps_its_id_and_contents_over_retries_and_restarts(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.append(snapshot(1))
    first.append(snapshot(2))
    batch = first.next_batch(newest=True)
    assert batch is not None
    lines = first.read(batch)
    first.append(snapshot(3))
    assert first.next_batch(newest=False) == batch
    second = opened(tmp_path)  # the first was killed
    assert second.snapshots == 3
    assert second.next_batch(newest=True) == batch
    assert second.read(batch) == lines
    second.append(snapshot(4))
    assert [numbers for _, numbers in drained(second)] == [[1, 2], [3], [4]]
    assert list((tmp_path / "buffer").iterdir()) == []


def test_the_newest_can_go_before_the_oldest(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in (1, 2):
        buffer.append(snapshot(number))
        buffer.next_batch(newest=True)
    buffer.append(snapshot(3))
    newest = buffer.next_batch(newest=True)
    assert newest is not None
    assert buffer.read(newest) == snapshot(3) + b"\n"
    oldest = buffer.next_batch(newest=True)
    assert oldest is not None
    assert buffer.read(oldest) == snapshot(1) + b"\n"


def test_batches_are_bounded_by_snapshots_and_bytes(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(1_100):
        buffer.append(snapshot(number))
    assert [len(numbers) for _, numbers in drained(buffer)] == [500, 500, 100]
    for number in range(5):
        buffer.append(snapshot(number, size=400_000))
    assert [len(numbers) for _, numbers in drained(buffer)] == [2, 2, 1]


def test_a_full_buffer_drops_its_oldest_with_one_counted_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    buffer = opened(tmp_path, max_bytes=10_000)
    for number in range(50):
        buffer.append(snapshot(number, size=500))
        assert sum(path.stat().st_size for path in (tmp_path / "buffer").iterdir()) <= 10_000
    numbers = [number for _, numbers in drained(buffer) for number in numbers]
    assert numbers == list(range(50 - len(numbers), 50))
    assert len(numbers) >= 14
    assert len(caplog.messages) == 1
    assert "the oldest snapshots are dropped, 2 since the start" in caplog.text


@given(st.lists(st.integers(0, 300), min_size=1, max_size=8), st.data())
def test_a_file_cut_anywhere_keeps_every_whole_snapshot_before_the_cut(sizes: list[int], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        buffer = opened(root)
        for number, size in enumerate(sizes):
            buffer.append(snapshot(number, size))
        buffer.close()
        (path,) = (root / "buffer").iterdir()
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        again = opened(root)
        kept = whole[:cut].count(b"\n")
        assert again.snapshots == kept
        assert [number for _, numbers in drained(again) for number in numbers] == list(range(kept))


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_garbage_in_a_file_never_stops_the_start(chunks: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        opened(root)
        good = snapshot(7) + b"\n"
        (root / "buffer" / "000000000001-abc.ndjson").write_bytes(b"\n" + good.join(chunk + b"\n" for chunk in chunks))
        (root / "buffer" / "000000000002-abd.new").write_bytes(b"half")
        (root / "buffer" / "notes.txt").write_bytes(b"not ours")
        buffer = opened(root)
        numbers = [number for _, numbers in drained(buffer) for number in numbers]
        assert numbers.count(7) >= max(0, len(chunks) - 1)
        assert [path.name for path in (root / "buffer").iterdir()] == ["notes.txt"]


def test_halves_take_a_batchs_place_with_ids_that_follow_from_its_own(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(5):
        buffer.append(snapshot(number))
    batch = buffer.next_batch(newest=True)
    assert batch is not None
    buffer.append(snapshot(5))
    assert buffer.split(batch)
    half = buffer.next_batch(newest=False)
    assert half is not None
    assert buffer.split(half)
    assert buffer.snapshots == 6
    sent = drained(opened(tmp_path))  # the same for the next process
    assert [numbers for _, numbers in sent] == [[0], [1], [2, 3, 4], [5]]
    assert [batch_id.removeprefix(batch.id) for batch_id, _ in sent[:3]] == [".0.0", ".0.1", ".1"]


def test_a_single_snapshot_cannot_be_split(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.append(snapshot(1))
    batch = buffer.next_batch(newest=True)
    assert batch is not None
    assert not buffer.split(batch)
    assert buffer.snapshots == 1


def test_only_the_last_few_rejected_batches_are_kept(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    for number in range(buffer_module.REJECTED_KEPT + 3):
        buffer.append(snapshot(number))
        batch = buffer.next_batch(newest=True)
        assert batch is not None
        kept = buffer.set_aside(batch)
        assert kept.read_bytes() == snapshot(number) + b"\n"
    assert buffer.next_batch(newest=True) is None
    assert len(list((tmp_path / "rejected").iterdir())) == buffer_module.REJECTED_KEPT


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """A disk that takes the first bytes of a write and then no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_snapshot_the_disk_took_only_a_part_of_waits_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = opened(tmp_path)
    buffer.append(snapshot(1))
    with files_no_larger_than(len(snapshot(1)) + 20):
        buffer.append(snapshot(2))
    buffer.append(snapshot(3))
    on_disk = [path.read_bytes() for path in sorted((tmp_path / "buffer").iterdir())]
    assert on_disk == [snapshot(1) + b"\n", snapshot(3) + b"\n"]
    assert [numbers for _, numbers in drained(buffer)] == [[1], [2], [3]]
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1


def test_memory_is_bounded_when_the_disk_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, "MEMORY_BYTES", 5_000)
    buffer = opened(tmp_path)
    shutil.rmtree(tmp_path / "buffer")
    for number in range(20):
        buffer.append(snapshot(number, size=1_000))
    assert [numbers for _, numbers in drained(buffer)] == [[16], [17], [18], [19]]


def test_a_batch_deleted_by_hand_cannot_be_read_and_is_forgotten(tmp_path: Path) -> None:
    buffer = opened(tmp_path)
    buffer.append(snapshot(1))
    batch = buffer.next_batch(newest=True)
    assert isinstance(batch, Batch)
    next((tmp_path / "buffer").iterdir()).unlink()
    with pytest.raises(FileNotFoundError):
        buffer.read(batch)
    buffer.remove(batch)
    assert buffer.snapshots == 0
