"""Posts bodies over keep-alive connections and times each."""

import collections
import http.client
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMEOUT_S = 120
RETRIES_MAX = 600


@dataclass(frozen=True)
class Sent:
    """took_s until the last reply; latencies_s ascending; codes of final replies."""

    took_s: float
    latencies_s: list[float]
    codes: Mapping[int, int]

    def quantile_ms(self, share: float) -> float:
        return self.latencies_s[min(len(self.latencies_s) - 1, int(len(self.latencies_s) * share))] * 1_000


def post_all(
    host: str, port: int, path: str, bodies: Sequence[bytes], headers: Mapping[str, str], connections: int
) -> Sent:
    """Post every body once; a 503 is sent again after its Retry-After, as an agent would."""
    todo: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        todo.put(body)
    codes: collections.Counter[int] = collections.Counter()
    latencies: list[float] = []

    def work() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        while True:
            try:
                body = todo.get_nowait()
            except queue.Empty:
                return
            for _ in range(RETRIES_MAX):
                began = time.perf_counter()
                connection.request("POST", path, body, dict(headers))
                response = connection.getresponse()
                response.read()
                latencies.append(time.perf_counter() - began)
                codes[response.status] += 1
                if response.status != 503:
                    break
                time.sleep(float(response.headers.get("Retry-After", "1")))

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sent(time.perf_counter() - began, sorted(latencies), codes)
