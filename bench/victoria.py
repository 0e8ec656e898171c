"""VictoriaMetrics, where it is installed, as the peer of the same run."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from bench.processes import Family

START_TIMEOUT_S = 30


def is_installed() -> bool:
    return shutil.which("victoria-metrics") is not None


class Victoria:
    """Use as a context manager: a server on a free loopback port with a fresh directory."""

    def __enter__(self) -> "Victoria":
        self._folder = tempfile.TemporaryDirectory(prefix="metrist-bench-vm-")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [
                "victoria-metrics",
                f"-storageDataPath={self._folder.name}",
                f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y",
                "-search.maxPointsPerTimeseries=1000000",
                "-search.disableCache",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.family = Family(self._process.pid)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if self.client.get("/health").status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)
        raise TimeoutError("victoria-metrics did not start")

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()

    def wait_for(self, samples: int, end_s: int, length_s: int, timeout_s: float = 300) -> float:
        """Flush until so many samples can be read; returns when that was (perf_counter)."""
        deadline = time.monotonic() + timeout_s
        query = f'sum(count_over_time({{__name__=~"cpu_.*"}}[{length_s + 60}s]))'
        while time.monotonic() < deadline:
            self.client.get("/internal/force_flush").raise_for_status()
            answer = self.client.get("/api/v1/query", params={"query": query, "time": end_s, "nocache": 1}).json()
            found = answer["data"]["result"]
            if found and int(float(found[0]["value"][1])) >= samples:
                return time.perf_counter()
            time.sleep(0.05)
        raise TimeoutError(f"{samples} samples were not readable in VictoriaMetrics")

    def disk_bytes(self) -> int:
        """Bytes of its data directory."""
        return sum(path.stat().st_size for path in Path(self._folder.name, "data").rglob("*") if path.is_file())
