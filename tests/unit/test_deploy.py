"""The units of deploy/ are what systemd understands, and say what they must; the wrapper ends at the first error."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from metrist import cli, envfile
from metrist.releases.facts import STORES
from metrist.releases.hosts import PIECES

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(path for path in (DEPLOY / "systemd").iterdir() if path.is_file())
NEW_IN_254 = ("RestartSteps", "RestartMaxDelaySec")


def sections(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(path)
    return found


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze: apt-get install systemd"
)
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    wrapper = tmp_path / ".local" / "share" / "metrist" / "bin" / "metrist-run"
    wrapper.parent.mkdir(parents=True)
    shutil.copy(DEPLOY / "metrist-run", wrapper)
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY / "systemd", folder)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *(str(folder / unit.name) for unit in UNITS)],
        env={**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not any(name in line for name in NEW_IN_254)]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("piece", [*STORES, *PIECES])
def test_each_process_has_a_unit_that_watches_it(piece: str) -> None:
    unit = sections(DEPLOY / "systemd" / f"metrist-{piece}.service")
    service = unit["Service"]
    assert (service["Type"], service["Restart"], unit["Unit"]["StartLimitIntervalSec"]) == ("notify", "always", "0")
    assert int(service["WatchdogSec"]) >= 60
    program, command = service["ExecStart"].split(" ", 1)
    assert program == "%h/.local/share/metrist/bin/metrist-run"
    assert command == "agent" or cli.parser().parse_args([command]).module == command
    assert str(cli.FAILED) not in service["RestartPreventExitStatus"].split()
    assert "78" in service["RestartPreventExitStatus"].split()


def test_who_upgrades_is_what_is_proven() -> None:
    command = sections(DEPLOY / "systemd" / "metrist-upgrade.service")["Service"]["ExecStart"]
    assert command.endswith("metrist-run --proven upgrade --apply")


@pytest.mark.parametrize("name", ["metrist.env.example", "agent.env.example"])
def test_an_example_is_a_file_that_passes_its_own_check(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text((DEPLOY / name).read_text())
    path.chmod(0o600)
    assert envfile.read(path)


def test_the_socket_is_where_the_settings_say() -> None:
    socket = sections(DEPLOY / "systemd" / "metrist-api.socket")["Socket"]["ListenStream"]
    lines = (DEPLOY / "metrist.env.example").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if line.startswith("METRIST_"))
    assert socket == f"{told['METRIST_HOST']}:{told['METRIST_PORT']}"


class Host:
    """A home directory with the wrapper and a release that only says how it was called."""

    def __init__(self, home: Path) -> None:
        self.home = home / ".local" / "share" / "metrist"
        self.settings = home / ".config" / "metrist" / "metrist.env"
        self.settings.parent.mkdir(parents=True)
        self.settings.write_text("METRIST_PORT=1\n")
        for number in ("1", "2"):
            python = self.home / "releases" / number / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.write_text('#!/bin/sh\necho "$0 $* in $PWD"\n')
            python.chmod(0o755)
        (self.home / "releases" / "current").symlink_to("2")
        (self.home / "releases" / "proven").symlink_to("1")

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(DEPLOY / "metrist-run"), *words],
            env={"HOME": str(self.home.parents[2]), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(("words", "number"), [(("api",), "2"), (("--proven", "upgrade", "--apply"), "1")])
def test_the_wrapper_becomes_the_release_that_is_meant(host: Host, words: tuple[str, ...], number: str) -> None:
    command = " ".join(word for word in words if word != "--proven")
    python = host.home / "releases" / number / "bin" / "python"
    assert host.run(*words).stdout == f"{python} -P -m metrist --env-file {host.settings} {command} in {host.home}\n"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param("settings", "there is no", id="no settings"),
        pytest.param("link", "leads to no release; run deploy/install", id="no link"),
        pytest.param("release", "leads to no release", id="a link to nowhere"),
        pytest.param("python", "has no bin/python", id="half a release"),
        pytest.param("words", "which command?", id="no command"),
    ],
)
def test_the_wrapper_ends_at_the_first_error(host: Host, broken: str, says: str) -> None:
    releases = host.home / "releases"
    if broken == "settings":
        host.settings.unlink()
    elif broken == "link":
        (releases / "current").unlink()
    elif broken == "release":
        shutil.rmtree(releases / "2")
    elif broken == "python":
        (releases / "2" / "bin" / "python").unlink()
    done = host.run(*(() if broken == "words" else ("api",)))
    assert (done.returncode, done.stdout) == (78, "")
    assert says in done.stderr and done.stderr.count("\n") == 1
