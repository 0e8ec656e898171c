"""What the units of deploy/ start, on a host that deploy/install has made: each process tells how it is by itself.

The part of systemd is played by a few lines here, since a container has none: its socket for messages, the passed
socket, SIGTERM.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from metrist.child import tethered
from metrist.listener import listen
from tests.e2e.platforms import clean_environment, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
WATCHDOG_S = 3
READY_WITHIN_S = 90


class Unit:
    """A service: its process and what it has told."""

    def __init__(self, name: str, home: Path, listener: socket.socket | None = None) -> None:
        self.name = name
        self._messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._messages.bind("")  # a name of the kernel's choice
        self._messages.settimeout(READY_WITHIN_S)
        text = (DEPLOY / "systemd" / f"metrist-{name}.service").read_text().replace("%h", str(home))
        command = re.findall(r"(?m)^ExecStart=(.*)$", text)[0].split()
        told = {"HOME": str(home), "NOTIFY_SOCKET": "@" + self._messages.getsockname()[1:].decode()}
        told |= dict(line.split("=", 1) for line in re.findall(r"(?m)^Environment=(.*)$", text))
        self.process = subprocess.Popen(
            tethered(command, listener),
            env={**clean_environment(), **told, "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000)},
            pass_fds=[listener.fileno()] if listener else [],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said = b""
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "Unit":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(30) in (0, -signal.SIGTERM), self.said
        finally:
            self.process.kill()
            self.process.wait()
            self._messages.close()

    def next_message(self) -> str:
        try:
            return self._messages.recv(200).decode()
        except TimeoutError:
            raise AssertionError(f"{self.name} told nothing: {self.said.decode(errors='replace')}") from None

    def ready(self) -> "Unit":
        assert self.next_message() == "READY=1"
        return self

    def _listen(self) -> None:
        assert self.process.stdout
        with self.process.stdout:
            for line in self.process.stdout:
                self.said += line


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host after deploy/install, whose release is the environment that runs the tests."""
    own = version("metrist")
    releases = tmp_path / ".local" / "share" / "metrist" / "releases"
    releases.mkdir(parents=True)
    (releases / own).symlink_to(sys.prefix)
    subprocess.run(
        [str(DEPLOY / "install"), f"metrist-{own}-py3-none-any.whl"],
        env={**clean_environment(), "HOME": str(tmp_path), "PYTHON": sys.executable, "METRIST_INSTALL_ONLY": "1"},
        check=True,
    )
    return tmp_path


@pytest.fixture
def listener(home: Path) -> Iterator[socket.socket]:
    """The API's socket, which is a unit of its own; and ports that are free, written into the settings."""
    settings = home / ".config" / "metrist" / "metrist.env"
    text = settings.read_text()
    assert "CHANGE_ME" not in text and settings.stat().st_mode & 0o077 == 0
    with listen("127.0.0.1", 0) as listening:
        for number in ("8123", "6379", "8600"):
            free = listening.getsockname()[1] if number == "8600" else free_port()
            text = text.replace(number, str(free))
        settings.write_text(text)
        yield listening


def test_the_units_bring_a_platform_that_tells_how_it_is(home: Path, listener: socket.socket) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with ExitStack() as running:
        units = [running.enter_context(Unit(name, home)) for name in ("valkey", "engine")]
        for unit in units:
            unit.ready()
        with Unit("migrate", home) as migrate:
            assert migrate.process.wait(READY_WITHIN_S) == 0, migrate.said
        with Unit("api", home, listener) as api:
            units += [running.enter_context(Unit(name, home)) for name in ("worker", "scheduler")]
            for unit in (api, *units[2:]):
                unit.ready()
            for unit in (api, *units):
                assert unit.next_message() == "WATCHDOG=1"
            assert httpx.get(f"{address}/readyz", trust_env=False, timeout=10).status_code == 200
        answers: list[int] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{address}/healthz", trust_env=False, timeout=60).status_code)
        )
        asking.start()  # while there is no API; the socket takes it
        time.sleep(0.3)
        assert answers == []
        _write_agent_settings(home, address)
        with Unit("api", home, listener) as api, Unit("agent", home) as agent:
            asking.join(READY_WITHIN_S)
            assert answers == [200]
            api.ready()
            agent.ready()
            assert agent.next_message() == "WATCHDOG=1"


def _write_agent_settings(home: Path, address: str) -> None:
    """As an operator does, with a key that the installed command prints."""
    wrapper = str(home / ".local" / "share" / "metrist" / "bin" / "metrist-run")
    printed = subprocess.run(
        [wrapper, "account", "create", "works"],
        env={**clean_environment(), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    key = re.findall(r"mtr_\S+", printed.stdout)[0]
    settings = home / ".config" / "metrist" / "agent.env"
    example = (DEPLOY / "agent.env.example").read_text()
    text = example.replace("CHANGE_ME", key).replace("http://127.0.0.1:8600", address)
    with os.fdopen(os.open(settings, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)


def test_a_setting_that_cannot_be_ends_the_start_with_one_line(home: Path) -> None:
    settings = home / ".config" / "metrist" / "metrist.env"
    settings.write_text(settings.read_text() + "METRIST_REDIS_PASSWORD=geheim\n")
    done = subprocess.run(
        [str(home / ".local" / "share" / "metrist" / "bin" / "metrist-run"), "api"],
        env={**clean_environment(), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "there is no setting METRIST_REDIS_PASSWORD" in done.stderr
    assert "geheim" not in done.stderr and done.stderr.count("\n") == 1
