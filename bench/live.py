"""The live view: how soon the first point comes, how late points are, how soon it ends, and what pings notice of it.

Real agents, as processes of their own; viewers are connections that read the stream as a browser's EventSource does.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx

from bench.platform import Platform
from bench.report import Report

AGENTS = 20
VIEWERS = 100
TRIES = 50
LOAD_S = 20.0
PINGS_PER_S = 20
METRICS = ("cpu.usage_percent", "load.1m", "mem.used_percent")


def measure(report: Report) -> None:
    """All figures, with 20 agents on this machine."""
    with Platform() as platform, _agents(platform) as nodes:
        _wait_for(platform, nodes)
        cookie = _sign_in(platform)
        firsts = asyncio.run(_first_points(platform, cookie, nodes))
        report.figure("live first point p50", statistics.median(firsts), "s")
        report.figure("live first point p95", _quantile(firsts, 0.95), "s", "≤ 2")
        alone = asyncio.run(_pings(platform, LOAD_S / 2))
        cpu_before, began = platform.family.cpu_s(), time.perf_counter()
        late, beside, ends = asyncio.run(_load(platform, cookie, nodes))
        share = (platform.family.cpu_s() - cpu_before) / (time.perf_counter() - began)
        report.figure(f"live points a second, {VIEWERS} viewers", len(late) / LOAD_S, "points/s")
        report.figure("live agent to viewer p50", _quantile(late, 0.5) * 1000, "ms")
        report.figure("live agent to viewer p95", _quantile(late, 0.95) * 1000, "ms", "≤ 500")
        report.figure("live CPU of the platform", share * 100, "% of a core")
        report.figure("live ends after the last viewer", ends, "s", "≤ 5")
        report.figure("live pings p99 without viewers", _quantile(alone, 0.99) * 1000, "ms")
        report.figure("live pings p99 with viewers", _quantile(beside, 0.99) * 1000, "ms")
        report.ratio("live pings p99 ratio", "live pings p99 with viewers", "live pings p99 without viewers", "≤ 2")


@contextmanager
def _agents(platform: Platform) -> Iterator[list[str]]:
    nodes = [f"live-{number}" for number in range(AGENTS)]
    with tempfile.TemporaryDirectory(prefix="metrist-agents-") as folder, contextlib.ExitStack() as ends:
        for node in nodes:
            process = subprocess.Popen(
                [sys.executable, "-m", "metrist", "agent", "--server", platform.url, "--node", node],
                env=os.environ | {"METRIST_KEY": platform.key, "XDG_STATE_HOME": str(Path(folder) / node)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            ends.callback(_end, process)
        yield nodes


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _wait_for(platform: Platform, nodes: list[str]) -> None:
    """Until every agent has reported, and its pings are held."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = platform.client.get("/api/v1/metrics", params={"metric": "load.1m"}).json()["series"]
        if {one["node"] for one in found} >= set(nodes):
            time.sleep(12)
            return
        time.sleep(0.5)
    raise TimeoutError("not every agent reported")


def _sign_in(platform: Platform) -> str:
    answer = httpx.post(
        f"{platform.url}/sign-in", data={"token": platform.sign_in_url.partition("token=")[2]}, trust_env=False
    )
    return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())


class _Stream:
    """One viewer's connection."""

    def __init__(self, platform: Platform, cookie: str, node: str) -> None:
        self._address = platform.address
        query = urlencode([("node", node), ("every_ms", 1000), *(("metric", name) for name in METRICS)])
        self._request = f"GET /live/stream?{query} HTTP/1.1\r\nHost: bench\r\nCookie: {cookie}\r\n\r\n".encode()

    async def points(self) -> "asyncio.StreamReader":
        self.reader, self.writer = await asyncio.open_connection(*self._address)
        self.writer.write(self._request)
        return self.reader

    def close(self) -> None:
        """As a killed browser does: the connection is just gone."""
        self.writer.transport.abort()


async def _next(reader: asyncio.StreamReader) -> dict[str, object]:
    """The next points event."""
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionError("the stream has ended")
        if line.startswith(b"data: ") and b'"snapshots"' in line:
            found: dict[str, object] = json.loads(line[6:])
            return found


async def _first_points(platform: Platform, cookie: str, nodes: list[str]) -> list[float]:
    took = []
    for number in range(TRIES):
        stream = _Stream(platform, cookie, nodes[number % AGENTS])
        began = time.perf_counter()
        await _next(await stream.points())
        took.append(time.perf_counter() - began)
        stream.close()
        await asyncio.sleep(0.2)
    return took


async def _load(platform: Platform, cookie: str, nodes: list[str]) -> tuple[list[float], list[float], float]:
    """Delays of points from the agent's clock to the viewer, of pings meanwhile, and how long it takes to end."""
    late: list[float] = []
    streams = [_Stream(platform, cookie, nodes[number % AGENTS]) for number in range(VIEWERS)]

    async def view(stream: _Stream) -> None:
        reader = await stream.points()
        while True:
            found = await _next(reader)
            now_s = time.time()
            late.extend(now_s - one["ts"] for one in found["snapshots"])  # type: ignore[attr-defined]

    viewing = [asyncio.create_task(view(stream)) for stream in streams]
    await asyncio.sleep(3)
    late.clear()
    pings = await _pings(platform, LOAD_S)
    seen = list(late)
    for task in viewing:
        task.cancel()
    await asyncio.gather(*viewing, return_exceptions=True)
    for stream in streams:
        stream.close()
    return seen, pings, await _ends(platform, nodes)


async def _pings(platform: Platform, seconds: float) -> list[float]:
    took = []
    headers = {"Authorization": f"Bearer {platform.key}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, trust_env=False) as client:
        due = time.perf_counter()
        until = due + seconds
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await client.post("/api/v1/ping", json={"node": "bystander"})
            took.append(time.perf_counter() - due)
            due += 1 / PINGS_PER_S
    return took


async def _ends(platform: Platform, nodes: list[str]) -> float:
    """Seconds until no agent is asked to stream any more."""
    headers = {"Authorization": f"Bearer {platform.key}"}
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, trust_env=False) as client:
        for node in nodes:
            while (await client.post("/api/v1/ping", json={"node": node})).json()["live"] is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    return time.perf_counter() - began


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
