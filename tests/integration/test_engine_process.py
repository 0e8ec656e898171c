"""The engine as a process: its directory, its stop, its crash, its load. Nothing here is asked of a real ClickHouse."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clickhouse_server import Process, Server, start_engine

RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%endless%' AND query NOT LIKE '%processes%'"
ENDLESS = "SELECT 'endless', sum(sin(number)) FROM numbers(1000000000000)"
STOPS_WITHIN_S = 5


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Process]:
    with start_engine(tmp_path / "clickhouse") as engine:
        yield engine


@pytest.fixture
def http(engine: Process) -> Iterator[httpx.Client]:
    with engine.server.http() as http:
        yield http


def ask(server: Server, sql: str) -> str:
    with server.http() as http:
        answer = http.post("/", content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text


def endless(server: Server, query_id: str) -> str | None:
    """The code of the error that it ends with."""
    with server.http(params={"query_id": query_id}) as http:
        return http.post("/", content=ENDLESS, timeout=20).headers.get("X-ClickHouse-Exception-Code")


def wait_until(server: Server, sql: str, expected: str, within_s: float = 5) -> None:
    deadline_s = time.monotonic() + within_s
    while (seen := ask(server, sql)) != expected:
        assert time.monotonic() < deadline_s, f"still {seen!r}"
        time.sleep(0.05)


def rss_mb(engine: Process) -> float:
    return float(psutil.Process(engine.popen.pid).memory_info().rss) / 1e6


def refusal(**told: str) -> str:
    """What an engine says that does not start."""
    env = {**os.environ, **{f"METRIST_ENGINE_{name.upper()}": value for name, value in told.items()}}
    command = [sys.executable, "-m", "metrist.engine"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode != 0
    return ended.stderr.splitlines()[-1]


def test_a_second_engine_on_a_directory_is_refused(engine: Process) -> None:
    said = refusal(dir=str(engine.directory), port="0", password="x")
    assert f"another engine has {engine.directory} open (process {engine.popen.pid})" in said
    assert ask(engine.server, "SELECT 1") == "1\n"


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in refusal(dir=str(tmp_path), port=str(port), password="x")


def test_an_engine_needs_a_password(tmp_path: Path) -> None:
    assert "needs a password" in refusal(dir=str(tmp_path), port="0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_stops_clean_and_keeps_what_it_has(tmp_path: Path, number: int) -> None:
    with start_engine(tmp_path) as engine:
        ask(engine.server, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
        ask(engine.server, "INSERT INTO t VALUES (1), (2)")
        assert engine.stop(number) == 0
    with start_engine(tmp_path) as engine:
        assert ask(engine.server, "SELECT sum(n) FROM t") == "3\n"


def test_a_stop_lets_inserts_end_and_cuts_reads(tmp_path: Path) -> None:
    with start_engine(tmp_path) as engine, ThreadPoolExecutor(2) as clients:
        ask(engine.server, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
        insert = "INSERT INTO t SELECT number + sleepEachRow(0.5) FROM numbers(4) SETTINGS max_block_size = 1"
        clients.submit(ask, engine.server, insert)
        clients.submit(ask, engine.server, ENDLESS)
        time.sleep(0.5)
        started_s = time.monotonic()
        assert engine.stop() == 0
        assert time.monotonic() - started_s < STOPS_WITHIN_S
    with start_engine(tmp_path) as engine:
        assert ask(engine.server, "SELECT count() FROM t") == "4\n"


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with start_engine(tmp_path) as engine:
        ask(engine.server, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        for n in range(20):
            ask(engine.server, f"INSERT INTO t VALUES ({n})")
        engine.stop(signal.SIGKILL)
    with start_engine(tmp_path) as engine:
        assert ask(engine.server, "SELECT count(), sum(n) FROM t") == "20\t190\n"


@pytest.mark.parametrize("fmt", ["TabSeparated", "JSON"])
def test_a_query_ends_when_its_client_hangs_up(engine: Process, http: httpx.Client, fmt: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/", content=f"{ENDLESS} FORMAT {fmt}", timeout=0.5)
    wait_until(engine.server, RUNNING, "0\n")


@pytest.mark.parametrize("fmt", ["Native", "JSONEachRow"])
def test_a_stream_ends_when_its_client_hangs_up(engine: Process, http: httpx.Client, fmt: str) -> None:
    with http.stream("POST", "/", content=f"SELECT 'endless', number FROM system.numbers FORMAT {fmt}") as answer:
        next(answer.iter_raw())
        assert ask(engine.server, RUNNING) == "1\n"
    wait_until(engine.server, RUNNING, "0\n")


def test_a_kill_gets_past_the_reads_it_stops(engine: Process) -> None:
    names = [f"graph-{number}" for number in range(20)]
    with ThreadPoolExecutor(len(names)) as clients:
        asked = [clients.submit(endless, engine.server, name) for name in names]
        deadline_s = time.monotonic() + 15
        waiting = set(names)  # seven run, the others are in line, or still on their way here
        while waiting and time.monotonic() < deadline_s:
            waiting -= {name for name in waiting if ask(engine.server, f"KILL QUERY WHERE query_id = '{name}'")}
        codes = {one.result(timeout=10) for one in asked}
    assert codes == {"394"}


def test_half_a_body_inserts_nothing(engine: Process) -> None:
    ask(engine.server, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")

    def body() -> Iterator[bytes]:
        yield b"INSERT INTO t FORMAT TSV\n1\n2\n"
        raise ConnectionResetError

    with engine.server.http() as http, pytest.raises(ConnectionResetError):
        http.post("/", content=body())
    assert ask(engine.server, "SELECT count() FROM t") == "0\n"


def test_memory_stays_flat_under_a_large_answer(engine: Process, http: httpx.Client) -> None:
    before_mb = most_mb = rss_mb(engine)
    received = 0
    with http.stream("POST", "/", content="SELECT number FROM numbers(30000000) FORMAT JSONEachRow") as answer:
        for turn, part in enumerate(answer.iter_raw()):
            received += len(part)
            most_mb = max(most_mb, rss_mb(engine)) if turn % 100 == 0 else most_mb
    assert received > 500_000_000
    assert most_mb - before_mb < 150


def test_a_large_body_is_read_from_disk(engine: Process, http: httpx.Client) -> None:
    ask(engine.server, "CREATE TABLE t (s String) ENGINE = Null")
    line, lines = b"x" * 1023 + b"\n", 100 * 1024
    body = (line * 1024 for _ in range(lines // 1024))
    answer = http.post("/", params={"query": "INSERT INTO t FORMAT TSV"}, content=body)
    assert answer.status_code == 200
    assert f'"written_rows":"{lines}"' in answer.headers["X-ClickHouse-Summary"]


def test_it_is_small_when_idle(engine: Process) -> None:
    ask(engine.server, "SELECT 1")
    assert rss_mb(engine) < 300


def test_too_many_reads_are_refused_and_writes_still_find_a_place(engine: Process) -> None:
    ask(engine.server, "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    login = engine.server.username, engine.server.password
    limits = httpx.Limits(max_connections=None)

    async def crowd() -> list[int]:
        async with httpx.AsyncClient(base_url=engine.server.url, auth=login, timeout=60, limits=limits) as http:
            reads = [asyncio.create_task(http.post("/", content="SELECT sleep(0.2)")) for _ in range(150)]
            await asyncio.sleep(0.5)
            started_s = time.monotonic()
            assert (await http.post("/", content="INSERT INTO t VALUES (1)")).status_code == 200
            assert time.monotonic() - started_s < 1
            return [answer.status_code for answer in await asyncio.gather(*reads)]

    statuses = asyncio.run(crowd())
    assert set(statuses) == {200, 503}
    assert statuses.count(503) < 30


FORGETTING = """
    import sys
    from pathlib import Path
    import psutil
    from metrist.engine import resident
    from metrist.engine.chdb import Directory

    def code():
        mapped = psutil.Process().memory_maps(grouped=False)
        return sum(m.rss for m in mapped if m.path == opened.program and m.perms.startswith("r-x"))

    opened = Directory(Path(sys.argv[1]))
    before = code()
    resident.forget(opened.program)
    after = code()
    print(before, after, opened.ask("SELECT sum(number) FROM numbers(10)"), code())
    opened.close()
"""


def test_code_that_only_the_start_needs_does_not_stay_in_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FORGETTING), str(tmp_path / "clickhouse")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    before, after, answer, then = map(int, told.split())
    assert before > 50e6 and after < before / 10, "it was there, and was let go"
    assert answer == 45 and after < then < before / 2, "what is used comes back, and no more"
