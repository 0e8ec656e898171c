"""What systemd is told, received by a socket of its kind."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.chdir(tmp_path)  # the path of a socket may be 107 bytes at most
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind("notify")
        receiving.settimeout(0.2)
        yield receiving


def told(manager: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found.append(manager.recv(100).decode())
    except TimeoutError:
        return found


def test_ready_comes_first_and_then_a_sign_as_often_as_asked(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "600000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    notifier = Notifier(environ)
    assert environ == {"A": "b"}, "no child shall speak for us"
    until_s = time.monotonic() + 0.45
    while time.monotonic() < until_s:
        notifier.turned()
    notifier.stopping()
    first, *signs, last = told(manager)
    assert (first, set(signs), last) == ("READY=1", {"WATCHDOG=1"}, "STOPPING=1")
    assert 1 <= len(signs) <= 4
    assert notifier.every_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"NOTIFY_SOCKET": "notify"}, id="no watchdog"),
        pytest.param(
            {"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, id="another's watchdog"
        ),
    ],
)
def test_without_a_watchdog_only_ready_is_told(manager: socket.socket, environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    for _ in range(3):
        notifier.turned()
        time.sleep(0.01)
    assert told(manager) == ["READY=1"]


def test_an_abstract_socket_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(f"\0metrist-test-{os.getpid()}")
        receiving.settimeout(1)
        Notifier({"NOTIFY_SOCKET": f"@metrist-test-{os.getpid()}"}).turned()
        assert receiving.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1"}], ids=["none", "gone"]
)
def test_nobody_listens_and_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    notifier.turned()
    notifier.turned()
    notifier.stopping()


def test_in_a_container_a_file_tells(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    notifier = Notifier({"METRIST_ALIVE_FILE": str(alive)})
    assert not alive.exists()
    notifier.turned()
    first = alive.stat().st_mtime_ns
    notifier.turned()
    assert alive.stat().st_mtime_ns == first, "not at each turn"
    notifier._touched_at -= 60
    notifier.turned()
    assert alive.stat().st_mtime_ns > first
    Notifier({"METRIST_ALIVE_FILE": str(tmp_path / "no" / "such")}).turned()
