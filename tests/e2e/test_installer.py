"""`curl SERVER/install.sh | sh` for real: for one user in a new home, and for a machine in a view of our own."""

import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.e2e.platforms import Platform, clean_environment

INSTALLED_WITHIN_S = 180


@dataclass
class Home:
    """Where one user installs."""

    path: Path
    server: str
    said: str = ""
    script: str = field(init=False)

    def __post_init__(self) -> None:
        self.script = httpx.get(f"{self.server}/install.sh", trust_env=False).raise_for_status().text

    @property
    def prefix(self) -> Path:
        return self.path / ".local/share/metrist-agent"

    @property
    def env_file(self) -> Path:
        return self.path / ".config/metrist-agent.env"

    def run(self, *arguments: str, script: str = "", **env: str) -> int:
        """Pipe the script into a shell, without a terminal; its exit code."""
        process = subprocess.run(
            ["sh", "-s", "--", "--user", *arguments],
            input=script or self.script,
            env=_bare(self.path) | env,
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=INSTALLED_WITHIN_S,
            start_new_session=True,
            check=False,
        )
        self.said = process.stdout + process.stderr
        return process.returncode


@pytest.fixture
def home(platform: Platform, tmp_path: Path) -> Home:
    path = tmp_path / "home"
    path.mkdir()
    return Home(path, platform.url)


def test_somebody_installs_updates_and_removes_it(home: Home, platform: Platform) -> None:
    assert home.run(METRIST_KEY=platform.key, METRIST_NODE="installed") == 0, home.said
    assert "start it by hand" in home.said and str(home.prefix / "run") in home.said
    assert platform.key not in home.said
    assert stat.S_IMODE(home.env_file.stat().st_mode) == 0o600
    with _started(home.prefix / "run", home.path):
        platform.wait_until(lambda: "mem.used_percent" in _metrics_of(platform, "installed"), 60)
        (state,) = home.path.glob(".local/state/metrist-agent/instance")
        assert platform.key not in _arguments_of_all()

    release, settings = (home.prefix / "current").resolve(), home.env_file.read_text()
    with home.env_file.open("a") as file:
        file.write("METRIST_AGENT_INTERVAL=5\n")
    before = (release / "complete").stat().st_mtime_ns
    assert home.run() == 0, home.said  # the key is there, and all that was told and added stays
    assert home.env_file.read_text().splitlines()[-1] == "METRIST_AGENT_INTERVAL=5"
    assert set(settings.splitlines()) < set(home.env_file.read_text().splitlines())
    assert (release / "complete").stat().st_mtime_ns == before
    assert stat.S_IMODE(home.env_file.stat().st_mode) == 0o600

    assert home.run("--uninstall") == 0, home.said
    assert not state.exists()
    left = [path for path in home.path.rglob("*") if path.is_file() and "metrist" in str(path)]
    assert left == []


def _as_it_is(text: str) -> str:
    return text


def _tampered(text: str) -> str:
    return re.sub(r"SHA256=....", "SHA256=0000", text)


def _old(text: str) -> str:
    return re.sub(r"agent-[0-9.]+-py3", "agent-0.0.0-py3", text)


def _elsewhere(text: str) -> str:
    return re.sub(r"(?m)^SERVER=.*$", "SERVER=http://127.0.0.1:9", text)


def _without_python(text: str) -> str:
    return re.sub(r"python3 python3\.15 .*; do", "false; do", text)


UNKNOWN = f"mtr_{'0' * 16}_{'A' * 43}"
OURS = "."
REMEDY = "needs Python 3.11 or newer, with venv. Install it: apt-get install python3 python3-venv"


@pytest.mark.parametrize(
    ("change", "env", "says"),
    [
        pytest.param(_as_it_is, {}, "which API key", id="no key"),
        pytest.param(_as_it_is, {"METRIST_KEY": "mtr_0 x"}, "is no API key", id="no such key"),
        pytest.param(_as_it_is, {"METRIST_KEY": UNKNOWN}, "mistyped, unknown or revoked", id="unknown key"),
        pytest.param(_tampered, {"METRIST_KEY": OURS}, "not the one that was promised", id="tampered"),
        pytest.param(_old, {"METRIST_KEY": OURS}, "another release now", id="upgraded meanwhile"),
        pytest.param(_elsewhere, {"METRIST_KEY": OURS}, "cannot be reached from here", id="no server"),
        pytest.param(_without_python, {"METRIST_KEY": OURS}, REMEDY, id="no Python"),
        pytest.param(_as_it_is, {"METRIST_KEY": OURS, "METRIST_NODE": "a\nb"}, "may hold no quotes", id="two lines"),
    ],
)
def test_it_says_what_to_do_and_leaves_nothing_running(
    home: Home, platform: Platform, change: Callable[[str], str], env: dict[str, str], says: str
) -> None:
    told = {name: platform.key if value == OURS else value for name, value in env.items()}
    assert home.run(script=change(home.script), **told) != 0
    assert says in home.said
    assert "Traceback" not in home.said and platform.key not in home.said
    assert not home.env_file.exists()


def test_root_installs_it_for_the_machine(platform: Platform, tmp_path: Path) -> None:
    """In a mount namespace, where /opt, /etc and /var/lib are layers of our own."""
    if reason := _why_no_view(tmp_path):
        pytest.skip(reason)
    script = tmp_path / "install.sh"
    script.write_text(httpx.get(f"{platform.url}/install.sh", trust_env=False).text)
    lines = f"""
        set -eu
        {_layers(tmp_path)}
        METRIST_KEY={platform.key} METRIST_NODE=machine sh {script}
        stat -c '%a %U %n' /etc/metrist-agent.env
        timeout 40 /opt/metrist-agent/run & agent=$!
        sleep 5; kill "$agent"; wait "$agent" || true
        ls /var/lib/metrist-agent/instance
        sh {script} --uninstall
        ls -d /opt/metrist-agent /etc/metrist-agent.env /var/lib/metrist-agent 2>&1 || true
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", lines],
        env=_bare(tmp_path),
        capture_output=True,
        text=True,
        timeout=INSTALLED_WITHIN_S,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "600 root /etc/metrist-agent.env" in said
    assert said.count("No such file") == 3, said
    platform.wait_until(lambda: bool(_metrics_of(platform, "machine")), 30)


def _bare(home: Path) -> dict[str, str]:
    """A fresh login's environment: where pip finds its packages, and nothing of ours."""
    kept = {
        name: value for name, value in clean_environment().items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    return kept | {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}


@contextmanager
def _started(program: Path, home: Path) -> Iterator[None]:
    log = home / "agent.log"
    with log.open("wb") as file:
        agent = subprocess.Popen([program], env=_bare(home), cwd="/", stdout=file, stderr=file, start_new_session=True)
    try:
        time.sleep(0.5)
        assert agent.poll() is None, log.read_text()
        yield
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
        log.unlink()


def _metrics_of(platform: Platform, node: str) -> set[str]:
    return {one["metric"] for one in platform.get(f"/api/v1/metrics?node={node}").json()["series"]}


def _arguments_of_all() -> str:
    """What `ps` shows to everybody."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)


def _layers(folder: Path) -> str:
    made = []
    for place in ("opt", "etc", "var/lib"):
        upper, work = folder / "layers" / place / "upper", folder / "layers" / place / "work"
        made.append(f"mkdir -p {upper} {work}")
        made.append(f"mount -t overlay overlay -o lowerdir=/{place},upperdir={upper},workdir={work} /{place}")
    return "\n".join(["mount --make-rprivate /", f"mount -t tmpfs tmpfs {_made(folder / 'layers')}", *made])


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _why_no_view(folder: Path) -> str:
    """Empty where this test may lay layers over the machine's folders, unseen by anybody else."""
    if os.geteuid() != 0:
        return "only root installs for the machine"
    tried = subprocess.run(["unshare", "-m", "sh", "-ec", _layers(folder)], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"no mounts may be made here: {tried.stderr.strip()}"
