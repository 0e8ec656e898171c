"""What a platform holds at one instant: memory, files, threads of each process; parts, keys, and what lies on disk."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.platform import Platform

PARTS = "SELECT table, count() FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"


@dataclass(frozen=True)
class Body:
    """One process. MB are millions of bytes."""

    pid: int
    rss_mb: float
    fds: int
    threads: int


@dataclass(frozen=True)
class Vitals:
    """All of it; by the names of pieces and of ClickHouse's tables."""

    at_s: float
    bodies: Mapping[str, Body]
    parts: Mapping[str, int]
    redis_keys: int
    redis_mb: float
    redis_clients: int
    control_mb: float
    spool_mb: float
    disk_mb: float

    def as_json(self) -> dict[str, Any]:
        """Rounded, for a log."""
        return {
            "at_s": round(self.at_s, 1),
            "rss_mb": {name: round(body.rss_mb, 1) for name, body in self.bodies.items()},
            "fds": {name: body.fds for name, body in self.bodies.items()},
            "threads": {name: body.threads for name, body in self.bodies.items()},
            "parts": dict(self.parts),
            "redis": [self.redis_keys, round(self.redis_mb, 2), self.redis_clients],
            "control_mb": round(self.control_mb, 2),
            "spool_mb": round(self.spool_mb, 2),
            "disk_mb": round(self.disk_mb, 1),
        }


def take(platform: Platform, client: redis.Redis, others: Mapping[str, int]) -> Vitals:
    """Look once; `others` are pids of what belongs to it and was not started by it, by name."""
    told: Any = client.info()
    return Vitals(
        time.monotonic(),
        {name: body for name, pid in _pids(platform, others) if (body := _body(pid))},
        {str(table): int(count) for table, count in platform.clickhouse.query(PARTS).result_rows},
        int(str(client.dbsize())),
        told["used_memory"] / 1e6,
        told["connected_clients"],
        sum(size_of(path) for path in platform.data.glob("control.db*")) / 1e6,
        size_of(platform.data / "spool") / 1e6,
        size_of(platform.data) / 1e6,
    )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what goes away meanwhile counts nothing."""
    with contextlib.suppress(OSError):
        if path.is_file():
            return path.stat().st_size
        return sum(size_of(each) for each in path.iterdir() if not each.is_symlink())
    return 0


def _pids(platform: Platform, others: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield "up", platform.pid
    for file in sorted((platform.data / "run").glob("*.pid")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            yield file.stem, int(file.read_text().split()[0])
    yield from others.items()


def _body(pid: int) -> Body | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return Body(pid, process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())
    return None
