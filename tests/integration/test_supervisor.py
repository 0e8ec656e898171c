"""Children are started in order, started again when they fall or hang, and never outlive us."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from domain.errors import StartRefused
from metrist import health, orphans
from metrist.child import Piece, tethered
from metrist.supervisor import Supervisor
from metrist.watch import Patience

QUICK = Patience(starting_s=5, hung_s=0.6, ask_starting_s=0.02, ask_running_s=0.05)
SLEEPS = "import time\nwhile True: time.sleep(1)"
SERVES = """
import asyncio, contextlib, pathlib, sys, time
import uvicorn
from fastapi import FastAPI
from metrist.listener import passed
from metrist.server import Server

mode = pathlib.Path(sys.argv[1])

async def work():
    while True:
        if mode.exists():
            time.sleep(3600 if mode.read_text() == "hung" else 0.1)
        await asyncio.sleep(0.001)

@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.working = asyncio.create_task(work())
    yield

app = FastAPI(lifespan=lifespan)

@app.get("/healthz")
async def get_health():
    if mode.exists():
        await asyncio.sleep(3600)

Server(uvicorn.Config(app, loop="uvloop", log_config=None), app).run(sockets=[passed()])
"""
"""The API's own server before an application that is busy, or hangs, when a file says so; either answers nobody."""
LINGERS = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n" + SLEEPS


def piece(name: str, source: str, check: health.Check = health.always, stop_within_s: float = 2) -> Piece:
    return Piece(name, [sys.executable, "-c", source], dict(os.environ), check, stop_within_s)


@asynccontextmanager
async def supervising(tmp_path: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(tmp_path, QUICK)
    try:
        yield supervisor
    finally:
        supervisor.kill()
        await supervisor.stop([["a", "b"]])


def pid_of(tmp_path: Path, name: str) -> int:
    return int((tmp_path / "run" / f"{name}.pid").read_text().split()[0])


async def until(is_true: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, "did not come true in time"
        await asyncio.sleep(0.02)


def another_runs(tmp_path: Path, name: str, before: int) -> Callable[[], bool]:
    path = tmp_path / "run" / f"{name}.pid"
    return lambda: path.exists() and pid_of(tmp_path, name) != before


def run(test: Callable[[Supervisor], Awaitable[None]], tmp_path: Path) -> None:
    async def body() -> None:
        async with supervising(tmp_path) as supervisor:
            await test(supervisor)

    asyncio.run(body())


@pytest.mark.parametrize("end", ["\n", ""], ids=["a whole line", "cut off in a line"])
def test_a_killed_child_is_started_again_and_the_reason_is_told(
    end: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(piece("a", f"print('last words', end={end!r}, flush=True)\n" + SLEEPS))
        log = tmp_path / "logs" / "a.log"
        await until(lambda: log.exists() and b"last words" in log.read_bytes())
        before = pid_of(tmp_path, "a")
        os.kill(before, signal.SIGKILL)
        await until(another_runs(tmp_path, "a", before))

    run(test, tmp_path)
    said = capsys.readouterr()
    assert "killed by SIGKILL: last words" in said.out + said.err + caplog.text


def test_a_hung_child_is_started_again(tmp_path: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        well = True

        async def check() -> bool:
            return well

        await supervisor.start(piece("a", SLEEPS, check))
        before = pid_of(tmp_path, "a")
        well = False
        await until(another_runs(tmp_path, "a", before))

    run(test, tmp_path)


def test_a_server_that_is_only_loaded_is_kept_and_one_that_hangs_is_replaced(tmp_path: Path) -> None:
    mode = tmp_path / "mode"
    listener = socket.create_server(("127.0.0.1", 0))
    ask = health.http("127.0.0.1", listener.getsockname()[1], "/healthz")

    async def check() -> bool:
        with suppress(TimeoutError):
            return await asyncio.wait_for(ask(), 1.0)
        return False

    async def body() -> None:
        command = [sys.executable, "-c", SERVES, str(mode)]
        serves = Piece("a", command, dict(os.environ), check, 0.2, listener=listener, has_pulse=True)
        supervisor = Supervisor(tmp_path, Patience(starting_s=60, hung_s=2, ask_running_s=0.05))
        try:
            await supervisor.start(serves)
            before = pid_of(tmp_path, "a")
            mode.write_text("loaded")
            await asyncio.sleep(5)  # three questions without an answer, and more than twice as long as it may be silent
            assert pid_of(tmp_path, "a") == before
            assert not await check()
            mode.write_text("hung")
            await until(another_runs(tmp_path, "a", before))
        finally:
            await supervisor.stop([["a"]])

    with listener:
        asyncio.run(body())


def test_a_start_waits_for_health(tmp_path: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        mark = tmp_path / "ready"

        async def check() -> bool:
            return mark.exists()

        await supervisor.start(piece("a", f"import time; time.sleep(.3); open({str(mark)!r}, 'w')\n" + SLEEPS, check))
        assert mark.exists()

    run(test, tmp_path)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("import sys; sys.exit('no such table')", "exit code 1: no such table", id="falls again and again"),
        pytest.param("import sys; print('METRIST_X: bad'); sys.exit(78)", "exit code 78: METRIST_X: bad", id="refuses"),
    ],
)
def test_a_piece_that_cannot_start_ends_the_start(tmp_path: Path, source: str, says: str) -> None:
    async def never() -> bool:
        return False

    async def test(supervisor: Supervisor) -> None:
        with pytest.raises(StartRefused, match=f"a does not start: {says}"):
            await supervisor.start(piece("a", source, never))

    run(test, tmp_path)


def test_stopping_kills_who_does_not_listen_and_whatever_it_started(tmp_path: Path) -> None:
    grandchild = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}])\n"
    grandchild += "print(p.pid, flush=True)\n" + LINGERS

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(piece("a", grandchild, stop_within_s=0.5))
        log = tmp_path / "logs" / "a.log"
        await until(lambda: log.exists() and b"deaf" in log.read_bytes())
        pids = [pid_of(tmp_path, "a"), int(log.read_text().split()[0])]
        started = time.monotonic()
        await supervisor.stop([["a"]])
        assert time.monotonic() - started < 2
        await until(lambda: not any(map(psutil.pid_exists, pids)))
        assert not list((tmp_path / "run").iterdir())

    run(test, tmp_path)


def test_a_child_dies_with_a_killed_parent() -> None:
    parent = (
        "import subprocess, sys, time; from metrist.child import tethered\n"
        f"p = subprocess.Popen(tethered([sys.executable, '-c', {SLEEPS!r}]), start_new_session=True)\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        child = psutil.Process(int(process.stdout.readline()))
        time.sleep(0.3)  # until it is tied
        assert child.is_running()
        process.kill()
    assert psutil.wait_procs([child], timeout=5)[1] == []


def test_orphans_are_ended_by_the_next_start_and_strangers_are_not(tmp_path: Path) -> None:
    orphan, stranger = (subprocess.Popen([sys.executable, "-c", SLEEPS], start_new_session=True) for _ in range(2))
    try:
        orphans.record(tmp_path / "orphan.pid", orphan.pid)
        (tmp_path / "stranger.pid").write_text(f"{stranger.pid}\n12345.0\n")
        (tmp_path / "torn.pid").write_text("")
        assert orphans.end_orphans(tmp_path) == ["orphan"]
        assert not psutil.pid_exists(orphan.pid)
        assert stranger.poll() is None
        assert not list(tmp_path.iterdir())
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.wait()


def test_a_tethered_command_is_handed_the_socket() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    source = "from metrist.listener import passed; print(passed().getsockname()[1])"
    with listener:
        said = subprocess.run(
            tethered([sys.executable, "-c", source], listener),
            pass_fds=[listener.fileno()],
            capture_output=True,
            check=True,
            text=True,
        )
        assert int(said.stdout) == listener.getsockname()[1]
