"""A fleet that pings beside a steady stream of samples: what does a ping take?"""

import asyncio
import itertools
import json
import random
import time

from bench.platform import Platform
from bench.report import Report

CONNECTIONS = 50
NODES = 10_000
ENROL_S = 15
SAMPLES_PER_BODY = 10_000


async def _ping(host: str, port: int, key: str, number: int, per_s: float, until: float, took: list[float]) -> None:
    """One connection that pings for its nodes in turn, on a schedule that does not wait for slow answers."""
    reader, writer = await asyncio.open_connection(host, port)
    due = time.perf_counter() + random.random() / per_s
    nodes = itertools.cycle(range(number, NODES, CONNECTIONS))
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        body = json.dumps({"node": f"ping-{next(nodes)}"}).encode()
        writer.write(_request("/api/v1/ping", host, key, body))
        status = await _answer(reader)
        took.append(time.perf_counter() - due)
        assert status == 200, status
        due += 1 / per_s
    writer.close()


async def _stream(host: str, port: int, key: str, bodies: list[bytes], every_s: float, sent: list[int]) -> None:
    """One body of 10,000 samples after another, on schedule."""
    reader, writer = await asyncio.open_connection(host, port)
    due = time.perf_counter()
    for body in bodies:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(_request("/api/v1/snapshots", host, key, body, "application/x-ndjson"))
        assert await _answer(reader) == 202
        sent.append(SAMPLES_PER_BODY)
        due += every_s
    writer.close()


def _body(number: int) -> bytes:
    """Snapshots of 1,000 nodes with 10 metrics each, a little later than those of the body before."""
    ts_s = time.time() - 60 + number * 0.05
    return "\n".join(_snapshot(node, ts_s, number) for node in range(1_000)).encode()


def _snapshot(node: int, ts_s: float, number: int) -> str:
    metrics = {f"cpu.f{field}": node + field + number % 7 for field in range(10)}
    return json.dumps({"node": f"host_{node}", "ts": ts_s, "metrics": metrics}, separators=(",", ":"))


def enrol(platform: Platform) -> None:
    """Make all nodes known first: a first contact is a registration, and the load is to be a steady one."""
    for first in range(0, NODES, 1_000):
        snapshots = [{"node": f"ping-{first + n}", "metrics": {"fleet.size": NODES}} for n in range(1_000)]
        platform.client.post("/api/v1/snapshots", json=snapshots).raise_for_status()
    stream = {"Content-Type": "application/x-ndjson"}
    platform.client.post("/api/v1/snapshots", content=_body(0), headers=stream).raise_for_status()
    time.sleep(ENROL_S)


def measure(report: Report, platform: Platform, *, per_s: float, samples_per_s: float, seconds: float) -> None:
    """Latency from when a ping was due, so that waiting behind a slow one counts."""
    host, port = platform.address

    # Made beforehand, so that the latency is the server's and not that of a busy client.
    bodies = [_body(number) for number in range(int(samples_per_s * seconds / SAMPLES_PER_BODY))]

    async def run() -> tuple[list[float], int]:
        took: list[float] = []
        sent: list[int] = []
        until = time.perf_counter() + seconds
        pings = [
            _ping(host, port, platform.key, number, per_s / CONNECTIONS, until, took) for number in range(CONNECTIONS)
        ]
        stream = [_stream(host, port, platform.key, bodies, SAMPLES_PER_BODY / samples_per_s, sent)] if bodies else []
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
