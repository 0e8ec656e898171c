"""A whole Metrist for a benchmark: `metrist up` on a free port in a fresh directory."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import clickhouse_connect
import httpx
from clickhouse_connect.driver.client import Client

from bench.processes import Family
from domain import own_account

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
TIERS = ("samples", "samples_1m", "samples_1h")
NOT_ITS_OWN = f"account != '{own_account.ACCOUNT}'"
"""The platform's figures of itself are samples, too."""


class Platform:
    """Use as a context manager; `url`, `key` and a ClickHouse client are there inside."""

    def __init__(
        self, *, has_agent: bool = False, settings: dict[str, str] | None = None, tree: Path | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="metrist-bench-")
        self.data = Path(self._folder.name) / "data"
        self._has_agent = has_agent
        self._settings = settings or {}
        self._tree = tree  # whose code runs, when it is not the one at hand
        self._port = _free_port()

    def __enter__(self) -> "Platform":
        said = self.start()
        self.url = _find(r"Address\s+(\S+)", said)
        self.key = _find(r"API key\s+(\S+)", said)
        self.sign_in_url = _find(r"Sign in\s+(\S+)", said)
        self.clickhouse = self.connect()
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60, trust_env=False
        )
        return self

    @property
    def redis_url(self) -> str:
        """Of its Redis, as its own pieces are told it."""
        password = json.loads((self.data / "passwords.json").read_text())["redis"]
        port = json.loads((self.data / "ports.json").read_text())["redis"]
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def connect(self) -> Client:
        """One more client of its ClickHouse; each serves one thread."""
        passwords = json.loads((self.data / "passwords.json").read_text())
        ports = json.loads((self.data / "ports.json").read_text())
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=ports["clickhouse"], username="metrist", password=passwords["clickhouse"]
        )

    def start(self) -> str:
        """Start it, also again on the same data and port; returns what it said when it runs."""
        arguments = [sys.executable, "-m", "metrist", "up", "--data", str(self.data), "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*arguments, "--agent"] if self._has_agent else arguments,
            env=os.environ
            | {"METRIST_RAW_RETENTION_DAYS": "10000", "METRIST_HOUR_RETENTION_DAYS": "10000"}
            | self._settings
            | ({"PYTHONPATH": str(self._tree)} if self._tree else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.family = Family(self._process.pid)
        return self._listen()

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_TIMEOUT_S)

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.clickhouse.close()
        self.stop()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Of `metrist up` itself."""
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def wait_for(self, samples: int, timeout_s: float = 300) -> float:
        """Wait until so many samples can be read, in every tier; returns when that was (perf_counter)."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._ask(f"SELECT count() FROM samples WHERE {NOT_ITS_OWN}") >= samples:
                found = [self._ask(f"SELECT sum(count) FROM {tier} WHERE {NOT_ITS_OWN}") for tier in TIERS[1:]]
                if found == [samples, samples]:
                    return time.perf_counter()
            time.sleep(0.05)
        raise TimeoutError(f"{samples} samples were not readable after {timeout_s} s")

    def _ask(self, question: str) -> int:
        return int(str(self.clickhouse.command(question)))

    def merge(self) -> None:
        """Bring every tier into as few parts as merges ever will."""
        for tier in TIERS:
            self.clickhouse.command(f"OPTIMIZE TABLE {tier} FINAL")

    def disk_bytes(self) -> dict[str, int]:
        """Bytes of active parts by tier."""
        rows = self.clickhouse.query(
            "SELECT table, sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = currentDatabase() GROUP BY table"
        ).result_rows
        return {str(table): int(size) for table, size in rows}

    def clear(self) -> None:
        """Forget every sample."""
        for table in (*TIERS, "series"):
            self.clickhouse.command(f"TRUNCATE TABLE {table}")

    def _listen(self) -> str:
        """Read what `up` prints until it runs; then keep reading, so that it never blocks."""
        said: list[str] = []
        running = threading.Event()

        def read() -> None:
            assert self._process.stdout is not None
            for line in self._process.stdout:
                said.append(line)
                if "Ctrl-C" in line:
                    running.set()

        threading.Thread(target=read, daemon=True).start()
        if not running.wait(START_TIMEOUT_S):
            self._process.kill()
            raise TimeoutError("".join(said)[-4_000:])
        return "".join(said)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]
