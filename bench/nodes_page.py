"""The list of nodes with 10,000 of them: how soon it is there, how heavy it is, and what looking at it costs.

The fleet sends a snapshot of five metrics for every node each 10 s, so contacts and figures move while pages look on.
`--tree` measures an older checkout with the same fleet, beside the one at hand: machines differ, ratios less.
"""

import asyncio
import itertools
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from bench.platform import Platform
from bench.report import Report

NODES = 10_000
CONNECTIONS = 8
BATCH = 1_000
EVERY_S = 10.0
SETTLE_S = 15.0
WATCH_S = 40.0
TRIES = 20
IDLE = ("scheduler", "worker")
METRICS = ("cpu.usage_percent", "mem.used_percent", "disk.used_percent", "load.1m", "net.received_bytes_per_s")
QUERIES = (
    "",
    *(f"?page={page}" for page in range(2, 9)),
    *(f"?q=rack%3D~r1.*&page={page}" for page in (1, 2)),
    *("?q=env%3Dprod", "?q=env!%3Dprod", "?q=team-3", "?q=node-00", "?state=online"),
    *("?sort=-name", "?sort=-cpu", "?sort=-mem", "?sort=contact", "?sort=state"),
)
"""What twenty people look at."""


def measure(report: Report, name: str, tree: Path | None = None) -> None:
    """All figures of one tree; `name` goes before each."""
    with Platform(tree=tree) as platform:
        began = time.perf_counter()
        asyncio.run(_enrol(platform))
        print(f"{name}: {NODES} nodes in {time.perf_counter() - began:.0f} s", flush=True)
        cookies = sign_in(platform)
        asyncio.run(_measure(report, name, platform, cookies))


def compare(report: Report, old: str, new: str) -> None:
    """New over old, for what the pages cost."""
    for figure in ("TTFB", "page bytes", "painted", "stream of 1 viewer", "CPU of 20 viewers"):
        report.ratio(f"nodes page ratio {figure}", f"{new} {figure}", f"{old} {figure}", "")


def sign_in(platform: Platform) -> dict[str, str]:
    """The cookies of a session, by the link that the platform printed."""
    token = parse_qs(urlsplit(platform.sign_in_url).query)["token"][0]
    answer = httpx.post(f"{platform.url}/sign-in", data={"token": token}, trust_env=False)
    assert answer.status_code == 303, answer.status_code
    return dict(answer.cookies)


async def _enrol(platform: Platform) -> None:
    """One ping of every node, with its labels."""
    numbers = iter(range(NODES))

    async def ping(client: httpx.AsyncClient) -> None:
        for number in numbers:
            body = {"node": f"node-{number:05}", "labels": _labels(number), "agent": {"version": "bench"}}
            (await client.post("/api/v1/ping", json=body)).raise_for_status()

    headers = {"Authorization": f"Bearer {platform.key}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(ping(client) for _ in range(CONNECTIONS)))


def _labels(number: int) -> dict[str, str]:
    env = ("prod", "prod", "staging", "dev")[number % 4]
    return {"env": env, "rack": f"r{number % 40}", "team": f"team-{number % 12}", "zone": f"eu-{number % 3}"}


async def _measure(report: Report, name: str, platform: Platform, cookies: dict[str, str]) -> None:
    sending = asyncio.create_task(_send(platform))
    try:
        await asyncio.sleep(EVERY_S + SETTLE_S)
        idle = await _cpu_share(platform)
        report.figure(f"{name} CPU of 0 viewers", idle["total"], "% of a core")
        await _pages(report, name, platform, cookies)
        for viewers in (1, 20):
            await _watch(report, name, platform, cookies, QUERIES[:viewers], idle)
        await asyncio.to_thread(_paint, report, name, platform, cookies)
    finally:
        sending.cancel()


async def _send(platform: Platform) -> None:
    """A batch of a thousand nodes each second."""
    headers = {"Authorization": f"Bearer {platform.key}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=60, trust_env=False) as client:
        due = time.monotonic()
        for turn in itertools.count():
            first = turn * BATCH % NODES
            body = "\n".join(_snapshot(first + n, turn) for n in range(BATCH))
            await client.post("/api/v1/snapshots", content=body, headers={"Content-Type": "application/x-ndjson"})
            due += EVERY_S * BATCH / NODES
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _snapshot(number: int, turn: int) -> str:
    values = [(number * 7 + turn * 13) % 101, number % 97, number % 89, (number + turn) % 16 / 4, number * 1000 + turn]
    return json.dumps({"node": f"node-{number:05}", "metrics": dict(zip(METRICS, values, strict=True))})


async def _pages(report: Report, name: str, platform: Platform, cookies: dict[str, str]) -> None:
    """Time to the first byte, warm, and the bytes that travel."""
    headers = {"Accept-Encoding": "gzip, deflate, br, zstd", "Accept": "text/html"}
    async with httpx.AsyncClient(
        base_url=platform.url, cookies=cookies, headers=headers, timeout=60, trust_env=False
    ) as client:
        for label, query in (("", ""), (" with a pattern", "?q=rack%3D~r1.*"), (" by CPU", "?sort=-cpu")):
            took, size = [], 0
            for _ in range(TRIES):
                began = time.perf_counter()
                async with client.stream("GET", f"/nodes{query}") as answer:
                    took.append(time.perf_counter() - began)
                    size = sum([len(part) async for part in answer.aiter_raw()])
            aim = "≤ 100" if not label else ""
            report.figure(f"{name} first TTFB{label}", took[0] * 1e3, "ms")
            report.figure(f"{name} TTFB{label}", statistics.median(took[3:]) * 1e3, "ms", aim)
            report.figure(f"{name} page bytes{label}", size / 1e3, "kB", "≤ 100" if not label else "")


async def _watch(
    report: Report,
    name: str,
    platform: Platform,
    cookies: dict[str, str],
    queries: Sequence[str],
    idle: dict[str, float],
) -> None:
    """Streams that are read as fast as they come: their bytes, and what the server spends on them."""
    counts = [0] * len(queries)
    viewers = [
        asyncio.create_task(_view(platform, cookies, query, counts, place)) for place, query in enumerate(queries)
    ]
    await asyncio.sleep(SETTLE_S)
    before = list(counts)
    spent = await _cpu_share(platform)
    rates = [(after - early) / WATCH_S / 1e3 for early, after in zip(before, counts, strict=True)]
    for viewer in viewers:
        viewer.cancel()
    await asyncio.gather(*viewers, return_exceptions=True)
    who = f"{len(queries)} viewer{'s' if len(queries) > 1 else ''}"
    report.figure(f"{name} stream of {who}", statistics.mean(rates), "kB/s each", "≤ 5")
    report.figure(f"{name} largest stream of {who}", max(rates), "kB/s")
    report.figure(f"{name} CPU of {who}", spent["total"] - idle["total"], "% of a core", "≤ 15")
    for piece in ("api", "engine"):
        report.figure(f"{name} CPU of {who}, {piece}", spent[piece] - idle[piece], "% of a core")


async def _view(platform: Platform, cookies: dict[str, str], query: str, counts: list[int], place: int) -> None:
    headers = {"Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(base_url=platform.url, cookies=cookies, timeout=60, trust_env=False) as client,
        client.stream("GET", f"/nodes/stream{query}", headers=headers) as answer,
    ):
        async for part in answer.aiter_raw():
            counts[place] += len(part)


async def _cpu_share(platform: Platform) -> dict[str, float]:
    """Percent of a core by piece, and of those that pages keep busy: scheduler and worker have their own rhythm."""
    before = platform.family.cpu_by_piece_s()
    await asyncio.sleep(WATCH_S)
    after = platform.family.cpu_by_piece_s()
    spent = {piece: (after[piece] - before.get(piece, 0.0)) / WATCH_S * 100 for piece in after}
    return spent | {"total": sum(share for piece, share in spent.items() if piece not in IDLE)}


def _paint(report: Report, name: str, platform: Platform, cookies: dict[str, str]) -> None:
    """From the click to rows on the screen, in Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only this part needs it

    took = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_cookies([{"name": key, "value": value, "url": platform.url} for key, value in cookies.items()])
        page = context.new_page()
        for _ in range(7):
            page.goto("about:blank")
            page.goto(f"{platform.url}/nodes", wait_until="commit")
            page.wait_for_selector("#nodes tbody tr td")
            took.append(page.evaluate("new Promise((done) => requestAnimationFrame(() => done(performance.now())))"))
        browser.close()
    report.figure(f"{name} painted", statistics.median(took[1:]), "ms")
