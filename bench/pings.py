"""A fleet that pings beside a steady stream of samples: what does a ping take?"""

import asyncio
import json
import random
import time

from bench.platform import Platform
from bench.report import Report

CONNECTIONS = 50
NODES = 10_000
ENROL_S = 15


async def _ping(host: str, port: int, key: str, per_s: float, until: float, took: list[float]) -> None:
    """One connection that pings at its share of the rate, on a schedule that does not wait for slow answers."""
    reader, writer = await asyncio.open_connection(host, port)
    rng = random.Random(id(took))
    due = time.perf_counter() + rng.random() / per_s
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        body = json.dumps({"node": f"ping-{rng.randrange(NODES)}"}).encode()
        writer.write(_request("/api/v1/ping", host, key, body))
        status = await _answer(reader)
        took.append(time.perf_counter() - due)
        assert status == 200, status
        due += 1 / per_s
    writer.close()


async def _stream(host: str, port: int, key: str, samples_per_s: float, until: float, sent: list[int]) -> None:
    """Snapshots of 1,000 nodes × 10 metrics, one body of 10,000 samples after another."""
    reader, writer = await asyncio.open_connection(host, port)
    due = time.perf_counter()
    number = 0
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        ts_s = time.time() - 60 + number * 0.01
        lines = [_snapshot(node, ts_s, number) for node in range(1_000)]
        writer.write(_request("/api/v1/snapshots", host, key, "\n".join(lines).encode(), "application/x-ndjson"))
        assert await _answer(reader) == 202
        sent.append(10_000)
        number += 1
        due += 10_000 / samples_per_s
    writer.close()


def _snapshot(node: int, ts_s: float, number: int) -> str:
    metrics = {f"cpu.f{field}": node + field + number % 7 for field in range(10)}
    return json.dumps({"node": f"host_{node}", "ts": ts_s, "metrics": metrics}, separators=(",", ":"))


def enrol(platform: Platform) -> None:
    """Make the fleet known first: a first contact is a registration, not a ping."""
    for first in range(0, NODES, 1_000):
        snapshots = [{"node": f"ping-{first + n}", "metrics": {"fleet.size": NODES}} for n in range(1_000)]
        platform.client.post("/api/v1/snapshots", json=snapshots).raise_for_status()
    time.sleep(ENROL_S)


def measure(report: Report, platform: Platform, *, per_s: float, samples_per_s: float, seconds: float) -> None:
    """Latency from when a ping was due, so that waiting behind a slow one counts."""
    host, port = platform.address

    async def run() -> tuple[list[float], int]:
        took: list[float] = []
        sent: list[int] = []
        until = time.perf_counter() + seconds
        pings = [_ping(host, port, platform.key, per_s / CONNECTIONS, until, took) for _ in range(CONNECTIONS)]
        stream = [_stream(host, port, platform.key, samples_per_s, until, sent)] if samples_per_s else []
        await asyncio.gather(*pings, *stream)
        return sorted(took), sum(sent)

    took, samples = asyncio.run(run())
    name = f"ping {per_s:.0f}/s beside {samples_per_s:.0f} samples/s"
    report.figure(f"{name} achieved", len(took) / seconds, "pings/s")
    if samples_per_s:
        report.figure(f"{name} samples", samples / seconds, "samples/s")
    report.figure(f"{name} p50", took[len(took) // 2] * 1_000, "ms")
    report.figure(f"{name} p99", took[int(len(took) * 0.99)] * 1_000, "ms", "≤ 50")


def _request(path: str, host: str, key: str, body: bytes, content_type: str = "application/json") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])
