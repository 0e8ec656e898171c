"""The spool on a real disk: what was acknowledged is there after any end of the process, once."""

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import Overloaded, StartRefused
from schema import spool
from schema.spool import Segment, Spool

ACCOUNT = "6f1c1a6e-7f0d-4a52-9e0e-0d5f6c1f0a01"


def item(batch: str, samples: int = 1) -> spool.Record:
    return spool.record(ACCOUNT, batch, b'[{"node":"a","ts":1,"metrics":{"x":1}}]', samples)


def opened(folder: Path, **changes: int) -> Spool:
    return Spool(folder, **{"max_bytes": 1_000_000, "segment_samples": 1_000} | changes)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Spool]:
    found = opened(tmp_path / "spool")
    yield found
    found.close()


def batches(segments: list[Segment]) -> list[str]:
    return [batch for segment in segments for _, batch in segment.batches]


async def put(source: Spool, *names: str, samples: int = 1) -> list[str]:
    return list(await asyncio.gather(*(source.append(item(name, samples)) for name in names)))


def test_an_append_is_on_disk_before_it_returns(source: Spool) -> None:
    asyncio.run(put(source, "b1"))
    (path,) = source.folder.glob("*.open")
    assert json.loads(path.read_text())["batch"] == "b1"
    assert source.sealed() == []


def test_a_sealed_segment_holds_everything_in_order(source: Spool) -> None:
    tokens = asyncio.run(put(source, "b1", "b2", "b3", samples=5))
    source.seal()
    assert source.wait_sealed(5)
    (segment,) = source.sealed()
    assert {segment.token} == set(tokens)
    assert (batches([segment]), segment.samples) == (["b1", "b2", "b3"], 15)
    source.remove(segment)
    assert source.sealed() == [] and source.pending_bytes == 0


def test_a_segment_is_sealed_by_itself_when_it_is_large(tmp_path: Path) -> None:
    source = opened(tmp_path, segment_samples=10)
    asyncio.run(put(source, "b1", samples=10))
    assert source.wait_sealed(5)
    asyncio.run(put(source, "b2"))
    assert len(list(tmp_path.glob("*.open"))) == 1
    source.close()


def test_a_full_spool_says_when_to_come_back(tmp_path: Path) -> None:
    source = opened(tmp_path, max_bytes=len(item("b1").line))
    asyncio.run(put(source, "b1"))
    with pytest.raises(Overloaded) as caught:
        asyncio.run(put(source, "b2"))
    assert int(caught.value.headers["Retry-After"]) > 0
    source.close()


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b'{"account":"a","batch":"torn","snapshots":[{"node"', id="cut off"),
        pytest.param(b"\x00" * 4096, id="zeroes"),
        pytest.param(b'{"account":"a"}\n', id="another shape"),
    ],
)
def test_a_torn_tail_is_dropped_and_the_rest_kept(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "0001-a.open").write_bytes(item("b1").line + item("b2").line + tail)
    source = opened(tmp_path)
    assert batches(source.sealed()) == ["b1", "b2"]
    assert source.sealed()[0].token == "0001-a"
    source.close()


def test_segments_come_back_oldest_first_under_their_names(tmp_path: Path) -> None:
    for name in ("0003-c.ndjson", "0001-a.ndjson", "0002-b.open"):
        (tmp_path / name).write_bytes(item(name[5]).line)
    source = opened(tmp_path)
    assert [segment.token for segment in source.sealed()] == ["0001-a", "0002-b", "0003-c"]
    source.close()


def test_two_processes_do_not_share_a_folder(source: Spool) -> None:
    with pytest.raises(StartRefused):
        opened(source.folder)


def test_segments_of_a_dead_process_are_taken_over(tmp_path: Path) -> None:
    living = opened(spool.claim_folder(tmp_path))
    orphan = tmp_path / "07"
    orphan.mkdir()
    (orphan / "0001-a.open").write_bytes(item("lost").line)
    second = spool.claim_folder(tmp_path)
    assert second == tmp_path / "01"
    source = opened(second)
    assert batches(source.sealed()) == ["lost"]
    source.close()
    living.close()


WRITER = """
    import asyncio, sys
    from pathlib import Path
    from schema import spool
    async def main():
        source = spool.Spool(Path(sys.argv[1]), max_bytes=10**9, segment_samples=50)
        for n in range(10**6):
            await source.append(spool.record("a", f"b{n}", b'[{"node":"a","ts":1,"metrics":{"x":1}}]', 1))
            print(n, flush=True)
    asyncio.run(main())
"""


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(200)]
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().splitlines() if line.strip().isdigit()]
    writer.wait()
    writer.stdout.close()
    source = opened(tmp_path)
    found = batches(source.sealed())
    assert found[: len(acknowledged)] == [f"b{n}" for n in acknowledged]
    assert len(found) == len(set(found))
    source.close()


FULL = """
    import asyncio, resource, sys
    from pathlib import Path
    from domain.errors import StorageFull
    from schema import spool
    def item(n):
        return spool.record("a", f"b{n}", b'[{"node":"a","ts":1,"metrics":{"x":1}}]', 1)
    async def main():
        source = spool.Spool(Path(sys.argv[1]), max_bytes=10**9, segment_samples=10**6)
        await source.append(item(0))
        size = len(item(0).line)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, resource.RLIM_INFINITY))
        try:
            await source.append(item(1))
        except StorageFull:
            print("refused")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await source.append(item(2))
        source.close()
    asyncio.run(main())
"""


def test_a_write_that_fails_half_way_leaves_only_what_was_acknowledged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "refused" in done.stdout
    source = opened(tmp_path)
    assert batches(source.sealed()) == ["b0", "b2"]
    source.close()
