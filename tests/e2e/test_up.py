"""`metrist up`: starts in order, says what one needs, keeps everything running, stops without leaving anything."""

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
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.platforms import PIECES, STOPS_WITHIN_S, Platform, clean_environment, free_port

Start = Callable[..., Platform]


def metrist(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "metrist", *arguments],
        env=clean_environment() | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def started_at(platform: Platform, name: str) -> float:
    return psutil.Process(platform.child_pid(name)).create_time()


def count(platform: Platform, node: str) -> int:
    """How many samples of one node can be read."""
    reply = platform.get(
        "/api/v1/series", params={"metric": "*", "node": node, "from": "now-1h", "to": "now", "step": 3600}
    )
    reply.raise_for_status()
    return len(reply.json()["series"])


def test_pieces_start_in_order_and_everything_answers(platform: Platform) -> None:
    started = [max(started_at(platform, name) for name in stage) for stage in (("engine", "valkey"), ("api",))]
    started += [min(started_at(platform, name) for name in ("worker", "scheduler")), started_at(platform, "agent")]
    assert started == sorted(started)
    assert platform.is_ready()
    assert platform.get("/healthz").status_code == 200


def test_the_start_says_what_one_needs_and_is_short(platform: Platform) -> None:
    assert re.fullmatch(r"mtr_[0-9a-f]{16}_[\w-]{43}", platform.key)
    assert platform.sign_in_url.startswith(f"{platform.url}/sign-in?token=")
    assert str(platform.data_dir) in platform.output
    assert len(platform.output.splitlines()) <= 8, platform.output


def test_secrets_are_in_no_argument_and_no_readable_file(platform: Platform) -> None:
    passwords = re.findall(r'"([\w-]{20,})"', (platform.data_dir / "passwords.json").read_text())
    secrets = [*passwords, platform.key, (platform.data_dir / "agent.key").read_text()]
    arguments = " ".join(" ".join(process.cmdline()) for process in platform.processes())
    logs = "".join(path.read_text() for path in (platform.data_dir / "logs").iterdir())
    assert len(secrets) == 4
    assert not [secret for secret in secrets if secret in arguments + logs]
    inside = [path for path in platform.data_dir.rglob("*") if not path.is_symlink()]  # links to releases lead outside
    open_to_others = [path for path in inside if path.stat().st_mode & 0o077]
    assert open_to_others == []


def test_only_the_address_is_reachable_and_only_on_loopback(platform: Platform) -> None:
    sockets = [
        each for process in platform.processes() for each in process.net_connections() if each.status == "LISTEN"
    ]
    assert {each.laddr.ip for each in sockets} == {"127.0.0.1"}
    assert len({each.laddr.port for each in sockets}) == 3


def test_the_local_agent_reports(platform: Platform) -> None:
    platform.wait_until(lambda: bool(platform.get("/api/v1/metrics", params={"node": node_name()}).json()["series"]))


def test_a_second_up_on_the_same_data_is_refused(platform: Platform) -> None:
    refused = metrist("up", "--data", str(platform.data_dir), "--port", str(free_port()))
    assert refused.returncode == 1
    assert f"another `metrist up` (process {platform.process.pid}) is running" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_taken_port_is_refused(platform: Platform, tmp_path: Path) -> None:
    port = platform.url.rpartition(":")[2]
    refused = metrist("up", "--data", str(tmp_path / "data"), "--port", port)
    assert refused.returncode == 1
    assert refused.stderr == f"metrist: port {port} is in use; pass --port N\n"


@pytest.mark.parametrize("name", [*PIECES, "agent"])
def test_a_killed_piece_comes_back(platform: Platform, name: str) -> None:
    platform.kill_child(name)
    platform.wait_until(platform.is_ready)
    platform.wait_until(lambda: f"{name}_failed" in platform.output)
    assert "killed by SIGKILL" in platform.output
    platform.wait_until(lambda: is_accepted(platform, f"after-{name}"))
    platform.wait_until(lambda: count(platform, f"after-{name}") == 1)


def test_callers_wait_through_a_restart_of_the_api(platform: Platform) -> None:
    before = platform.child_pid("api")
    assert before
    os.kill(before, signal.SIGKILL)
    assert platform.get("/healthz").status_code == 200
    platform.wait_until(lambda: platform.child_pid("api") not in (None, before))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("migrate", "ClickHouse: nothing to do"),
        ("migrate --check", "Control DB and ClickHouse are up to date"),
        ("account list", "key .*  local agent  ingest"),
        ("rebuild", r"Folded \d+ events to \d+ rows\n$"),
    ],
)
def test_a_command_runs_beside_it(platform: Platform, words: str, says: str) -> None:
    done = metrist(*words.split(), env=platform.settings())
    assert done.returncode == 0, done.stderr
    assert re.search(says, done.stdout)


def test_a_bad_setting_ends_the_start_and_is_named(tmp_path: Path) -> None:
    refused = metrist("up", "--data", str(tmp_path / "data"), env={"METRIST_LOG_LEVEL": "loud"})
    assert refused.returncode == 78
    assert refused.stderr.startswith("metrist: METRIST_LOG_LEVEL: ")


def test_the_key_is_printed_once_and_everything_is_there_after_a_restart(start: Start) -> None:
    platform = start()
    key = platform.key
    assert is_accepted(platform, "kept")
    link = platform.sign_in_url
    assert platform.stop() < STOPS_WITHIN_S
    platform.start()
    assert key not in platform.output
    assert "API key" not in platform.output
    assert platform.sign_in_url != link
    platform.wait_until(lambda: count(platform, "kept") == 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_stops_everything_in_time(start: Start, number: signal.Signals) -> None:
    platform = start("--agent")
    processes = platform.processes()
    assert len(processes) >= len(PIECES) + 2
    held = threading.Thread(target=hold_ping, args=(platform,))
    held.start()
    time.sleep(0.5)
    assert platform.stop(number) < STOPS_WITHIN_S
    held.join(1)
    assert not held.is_alive()
    assert " [error " not in platform.output
    assert platform.process.returncode == 0
    assert not [process for process in processes if process.is_running()]
    assert not list((platform.data_dir / "run").iterdir())


def test_ctrl_c_reaches_us_alone_and_a_second_one_ends_it_at_once(start: Start) -> None:
    platform = start()
    api = platform.child_pid("api")
    assert api
    assert os.getpgid(api) == api
    os.kill(api, signal.SIGSTOP)  # so that it cannot stop when asked
    platform.process.send_signal(signal.SIGINT)
    platform.wait_until(lambda: "stopping" in platform.output)
    assert platform.stop(signal.SIGINT) < 3


def test_a_stop_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", ("--port", str(free_port()))).start(waits=False)
    platform.wait_until(lambda: platform.child_pid("valkey") is not None)
    processes = platform.processes()
    assert platform.stop() < STOPS_WITHIN_S
    assert platform.process.returncode == 0
    assert not [process for process in processes if process.is_running()]


def test_a_killed_up_takes_its_children_along_and_the_next_works_at_once(start: Start) -> None:
    platform = start("--agent")
    children = platform.processes()[1:]
    assert is_accepted(platform, "before-the-kill")
    platform.process.kill()
    platform.process.wait()
    platform.start()
    assert psutil.wait_procs(children, timeout=1)[1] == []
    platform.wait_until(lambda: count(platform, "before-the-kill") == 1)


def test_a_store_elsewhere_replaces_the_embedded_one(start: Start, tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    ) as redis:
        try:
            wait_for_port(port)
            platform = start(env={"METRIST_REDIS_URL": f"redis://127.0.0.1:{port}/3"})
            assert platform.is_ready()
            assert platform.child_pid("valkey") is None
            assert not (platform.data_dir / "valkey").exists()
            platform.stop()
        finally:
            redis.terminate()


def test_a_store_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_port()
    env = {"METRIST_REDIS_URL": f"redis://:geheim@127.0.0.1:{port}/0"}
    refused = metrist("up", "--data", str(tmp_path / "data"), "--port", "0", env=env)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"metrist: cannot reach Redis at redis://:***@127.0.0.1:{port}/0: Connection refused; see METRIST_REDIS_URL\n"
    )


def is_accepted(platform: Platform, node: str) -> bool:
    return platform.post_snapshot(node, {"x": time.time() % 100}).status_code == 202


def hold_ping(platform: Platform) -> None:
    """A long poll, which ends with the server."""
    headers = {"Authorization": f"Bearer {platform.key}"}
    body = {"node": "held", "wait": 30}
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(platform.url + "/api/v1/ping", json=body, headers=headers, timeout=40, trust_env=False)


def node_name() -> str:
    return re.sub(r"[^A-Za-z0-9._:@/-]", "-", socket.gethostname())


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("redis-server does not listen")
