"""People and programs that look at a platform all the time: pages, graphs, streams, and now and then a live view."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import httpx

from bench.platform import Platform

READERS = 3
PAUSE_S = 1.0
STREAM_S = 75.0
LIVE_EVERY_S, LIVE_S = 60.0, 12.0
EVENTS = "text/event-stream"
LIVE_METRICS = ("cpu.usage_percent", "load.1m", "mem.used_percent")
PAGES = (
    "/nodes", "/nodes?sort=-name", "/nodes?q=agent-1", "/explore?A=fleet.m1&A.by=node", "/conditions", "/dashboards",
    "/monitors", "/deliveries", "/channels", "/silences", "/settings/audit", "/settings/keys", "/settings/people",
    "/help/agent",
)  # fmt: skip


class Visitors:
    """Threads that look, from entering to leaving; `seen` counts answers by status, or by what went wrong."""

    def __init__(self, platform: Platform, cookies: Mapping[str, str], nodes: Sequence[str], live_node: str) -> None:
        self.seen: Counter[str] = Counter()
        self._platform = platform
        self._cookies = dict(cookies)
        self._nodes = nodes
        self._live_node = live_node
        self._stopping = threading.Event()
        work: list[Callable[[], None]] = [self._read] * READERS + [self._stream, self._stream, self._live]
        self._threads = [threading.Thread(target=each, daemon=True) for each in work]

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _read(self) -> None:
        """One address after another, of pages and of the API in turn."""
        with self._client() as client:
            for ask in itertools.cycle((self._page, self._series, self._page, self._graph, self._page, self._metrics)):
                if self._stopping.wait(random.uniform(0, 2 * PAUSE_S)):
                    return
                try:
                    self.seen[str(ask(client).status_code)] += 1
                except httpx.HTTPError as error:
                    self.seen[type(error).__name__] += 1

    def _page(self, client: httpx.Client) -> httpx.Response:
        return client.get(random.choice((*PAGES, f"/nodes/{self._node()}")))

    def _series(self, client: httpx.Client) -> httpx.Response:
        asked = {"metric": "fleet.m*", "node": self._node(), "from": random.choice(("now-5m", "now-1h", "now-7d"))}
        return client.get("/api/v1/series", params=asked, headers=self._key)

    def _graph(self, client: httpx.Client) -> httpx.Response:
        query = {"id": "A", "metric": f"fleet.m{random.randrange(10)}", "by": ["node"], "top": random.randrange(1, 20)}
        return client.post("/api/v1/query", json={"graph": {"queries": [query]}}, headers=self._key)

    def _metrics(self, client: httpx.Client) -> httpx.Response:
        return client.get("/api/v1/metrics", params={"node": self._node()}, headers=self._key)

    def _stream(self) -> None:
        """The list of nodes, one node, and the list again, each as an open page follows it."""
        for path in itertools.cycle(("/nodes/stream", "/nodes/stream?node={}", "/nodes/stream?q=agent-1")):
            if self._stopping.is_set():
                return
            self._follow(path.format(self._node()), STREAM_S)

    def _live(self) -> None:
        metrics = "&".join(f"metric={name}" for name in LIVE_METRICS)
        while not self._stopping.wait(LIVE_EVERY_S - LIVE_S):
            self._follow(f"/live/stream?node={self._live_node}&every_ms=1000&{metrics}", LIVE_S)

    def _follow(self, path: str, seconds: float) -> None:
        """Read a stream for so long, then be gone without a word."""
        until = time.monotonic() + seconds
        try:
            with self._client() as client, client.stream("GET", path, headers={"Accept": EVENTS}) as answer:
                self.seen[str(answer.status_code)] += 1
                for line in answer.iter_lines():
                    self.seen["points"] += line.startswith("event: points")
                    if time.monotonic() > until or self._stopping.is_set():
                        return
        except httpx.HTTPError as error:
            self.seen[type(error).__name__] += 1

    def _node(self) -> str:
        return random.choice(self._nodes)

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._platform.key}"}

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._platform.url, cookies=self._cookies, timeout=30, trust_env=False)
