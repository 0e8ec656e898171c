"""Who starts the processes again: systemd is asked in the right order, and believed when it says no."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metrist.datadir import DataDir
from metrist.environment import read_settings
from metrist.releases import hosts, status
from metrist.releases.errors import ReleaseBad
from metrist.releases.hosts import Systemd, Up
from metrist.releases.status import Status


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` that notes what it was asked; it says what is in `answer`, and no to the unit in `refuses`."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\ncat {tmp_path}/answer 2>/dev/null\n'
        f'for word; do [ "$word" = "$(cat {tmp_path}/refuses 2>/dev/null)" ] && [ "$3" = try-restart ] && '
        'echo "Job for $word failed." >&2 && exit 1; done; exit 0\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def restarted(folder: Path) -> list[str]:
    lines = (folder / "asked").read_text().splitlines()
    return [line.removeprefix("--user --no-pager try-restart ") for line in lines if "try-restart" in line]


@pytest.mark.parametrize(
    ("stores", "first"),
    [
        ((), "metrist-api.service"),
        (("engine",), "metrist-engine.service"),
        (("valkey", "engine"), "metrist-valkey.service"),
    ],
)
def test_units_are_started_again_one_after_the_other(systemctl: Path, stores: tuple[str, ...], first: str) -> None:
    Systemd(read_settings()).switch("0.2.0", stores)
    found = restarted(systemctl)
    assert found[0] == first
    assert found[len(stores) :] == [f"metrist-{name}.service" for name in ("api", "worker", "scheduler", "agent")]
    assert not any("socket" in line for line in (systemctl / "asked").read_text().splitlines()), "it stays open"


def test_a_unit_that_does_not_come_up_is_a_bad_release(systemctl: Path) -> None:
    (systemctl / "refuses").write_text("metrist-worker.service")
    with pytest.raises(
        ReleaseBad, match=r"try-restart metrist-worker\.service: Job for metrist-worker\.service failed\."
    ):
        Systemd(read_settings()).switch("0.2.0", ())
    assert restarted(systemctl) == ["metrist-api.service", "metrist-worker.service"]


def test_restarts_of_all_units_are_added_up(systemctl: Path) -> None:
    (systemctl / "answer").write_text("0\n\n2\n\n1\n")
    assert Systemd(read_settings()).restarts() == 3


@pytest.mark.parametrize(("answer", "found"), [("active\n", Systemd), ("inactive\n", type(None))])
def test_units_are_found_when_they_run(systemctl: Path, answer: str, found: type) -> None:
    (systemctl / "answer").write_text(answer)
    assert type(hosts.find(None, read_settings())) is found


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:8600"), ("::", "http://[::1]:8600"), ("10.0.0.1", "http://10.0.0.1:8600")],
)
def test_the_api_is_asked_where_this_machine_finds_it(host: str, address: str) -> None:
    assert Systemd(read_settings(host=host, port=8600)).address == address


@pytest.mark.parametrize(
    ("told", "says"),
    [
        pytest.param(Status(1, version="0.2.0", is_settled=True), "", id="all run it"),
        pytest.param(Status(1, version="0.2.0", failure="api does not start"), "api does not start", id="one does not"),
    ],
)
def test_a_platform_tells_how_far_it_is(tmp_path: Path, told: Status, says: str) -> None:
    status.write(DataDir(tmp_path), told)
    host = Up(DataDir(tmp_path))
    if says:
        with pytest.raises(ReleaseBad, match=says):
            host.switch("0.2.0", ())
    else:
        host.switch("0.2.0", ())


def test_a_platform_that_has_ended_is_none(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert hosts.find(data, read_settings()) is None
    status.write(data, Status(2**22 + 1, version="0.2.0"))
    assert hosts.find(data, read_settings()) is None
    status.write(data, Status(os.getpid(), version="0.2.0"))
    assert hosts.find(data, read_settings()) is None, "another has its number now"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "up"]) as running:
        status.write(data, Status(running.pid, version="0.2.0"))
        assert isinstance(hosts.find(data, read_settings()), Up)
        running.kill()


def test_a_folder_is_used_while_a_process_runs_from_it(tmp_path: Path) -> None:
    program = tmp_path / "0.2.0" / "bin" / "sleep"
    program.parent.mkdir(parents=True)
    program.symlink_to(shutil.which("sleep") or "")
    assert not hosts.is_used(tmp_path / "0.2.0")
    with subprocess.Popen([str(program), "60"]) as running:
        assert hosts.is_used(tmp_path / "0.2.0")
        assert not hosts.is_used(tmp_path / "0.2")
        running.kill()
