"""A `metrist up` of a test's own, as a person starts it: a process, its words, its signals."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

READY_WITHIN_S = 60
STOPS_WITHIN_S = 10
PIECES = ("engine", "valkey", "api", "worker", "scheduler")


@dataclass
class Platform:
    """One running platform; `key` and `sign_in_url` are what it printed."""

    data_dir: Path
    arguments: tuple[str, ...] = ("--agent",)
    env: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    output: str = ""
    process: subprocess.Popen[str] = field(init=False)

    @property
    def url(self) -> str:
        return self._printed(r"Address +(\S+)")

    @property
    def sign_in_url(self) -> str:
        return self._printed(r"Sign in +(\S+)")

    def start(self, *, waits: bool = True) -> "Platform":
        """Start it, and wait until it says that it runs."""
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "metrist", "up", "--data", str(self.data_dir), *self.arguments],
            cwd=self.data_dir.parent,
            env=clean_environment() | dict(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        if waits:
            self.wait_until(lambda: "Ctrl-C" in self.output, READY_WITHIN_S)
            self.key = self.key or self._printed(r"API key +(\S+)")
        return self

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Ask it to stop; returns how long that took."""
        started = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            self.process.wait(STOPS_WITHIN_S + 5)
        finally:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - started

    def restart(self) -> None:
        """Stop and start again, with the same data and port."""
        self.stop()
        self.start()

    def child_pid(self, name: str) -> int | None:
        """The process that runs this piece now; None while none does."""
        try:
            return int((self.data_dir / "run" / f"{name}.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    def processes(self) -> list[psutil.Process]:
        """It, and all that it has started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def settings(self) -> dict[str, str]:
        """What its pieces are told, for one that is run by hand beside it."""
        process = psutil.Process(self.child_pid("api"))
        return {name: value for name, value in process.environ().items() if name.startswith("METRIST_")}

    def new_sign_in_url(self) -> str:
        """A fresh link, for tests that share the platform: the one that was printed works once."""
        command = [sys.executable, "-P", "-m", "metrist", "user", "sign-in", "owner@localhost"]
        printed = subprocess.run(
            command, env=clean_environment() | self.settings(), capture_output=True, text=True, check=True
        )
        return next(word for word in printed.stdout.split() if "/sign-in?token=" in word)

    def kill_child(self, name: str) -> int:
        """Kill a piece and wait until another process runs it; returns that one's pid."""
        before = self.child_pid(name)
        assert before, f"{name} does not run"
        os.kill(before, signal.SIGKILL)
        self.wait_until(lambda: self.child_pid(name) not in (None, before))
        return self.child_pid(name) or 0

    def get(self, path: str, **options: object) -> httpx.Response:
        """One request with the API key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.get(self.url + path, headers=headers, timeout=15, trust_env=False, **options)  # type: ignore[arg-type]

    def post_snapshot(self, node: str, metrics: Mapping[str, float], ts: float | None = None) -> httpx.Response:
        """One snapshot with the API key."""
        body = {"node": node, "metrics": dict(metrics)} | ({} if ts is None else {"ts": ts})
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.post(self.url + "/api/v1/snapshots", json=body, headers=headers, timeout=15, trust_env=False)

    def is_ready(self) -> bool:
        """Whether the API and every store behind it answer."""
        with contextlib.suppress(httpx.HTTPError):
            return self.get("/readyz").status_code == 200
        return False

    def wait_until(self, is_true: Callable[[], bool], within_s: float = 30) -> None:
        """Wait for something to come true; fails with what the platform said."""
        deadline = time.monotonic() + within_s
        while not is_true():
            assert self.process.poll() is None or is_true(), f"metrist up has ended:\n{self.output}"
            assert time.monotonic() < deadline, f"not true after {within_s} s:\n{self.output}"
            time.sleep(0.05)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                self.output += line

    def _printed(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        return found[1] if found else ""


def start_platform(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, port: int = 0) -> Platform:
    """A platform with its data in `folder`/data; the caller stops it."""
    platform = Platform(folder / "data", (*arguments, "--port", str(port or free_port())), env or {})
    try:
        return platform.start()
    except BaseException:  # nobody else would know of it
        platform.stop()
        raise


def clean_environment() -> dict[str, str]:
    """Ours, without any setting of Metrist's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("METRIST_")}


def free_port() -> int:
    """A port that nobody has just now, the same for every restart."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
