"""A caller who leaves stops its question, on the engine too; many questions keep to their places."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from api import problems, reads
from api.reads import Reads
from schema import series
from schema.clickhouse_client import ClickHouse
from tests.clickhouse_server import Server
from tests.integration.pages.site import free_port
from tests.integration.test_tiers import address

ENDLESS = "SELECT 'endless', sum(sin(number)) FROM numbers(1000000000000) FORMAT JSON"
RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%endless%' AND query NOT LIKE '%processes%'"
SOON_S = 8.0


@pytest.fixture
def clickhouse(clickhouse_server: Server, clickhouse_database: str) -> Iterator[ClickHouse]:
    found = ClickHouse(address(clickhouse_server, clickhouse_database))
    yield found
    found.close()


@pytest.fixture
def browser(clickhouse: ClickHouse) -> Iterator[httpx.Client]:
    """Of a server with a slow page and a quick one."""
    app = FastAPI()
    app.state.reads = Reads(clickhouse)
    problems.install(app)

    @app.post("/slow")
    async def slow(request: Request) -> Response:
        await request.body()
        work = partial(series.ask, clickhouse, ENDLESS, {})
        runs = [reads_of(request).run(request, work) for _ in range(int(request.query_params.get("times", 1)))]
        return Response((await asyncio.gather(*runs))[0])

    @app.get("/quick")
    async def quick(request: Request) -> Response:
        return Response(await reads_of(request).run(request, partial(series.ask, clickhouse, "SELECT 1", {})))

    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client
    app.state.reads.close()


def reads_of(request: Request) -> Reads:
    found: Reads = request.app.state.reads
    return found


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def wait_for(clickhouse: ClickHouse, running: int) -> None:
    give_up_s = time.monotonic() + SOON_S
    while (found := int(str(clickhouse.command(RUNNING)))) != running:
        assert time.monotonic() < give_up_s, f"{found} run"
        time.sleep(0.05)


@pytest.mark.parametrize("times", [1, 3], ids="{} at once".format)
def test_a_question_ends_when_its_caller_hangs_up(clickhouse: ClickHouse, browser: httpx.Client, times: int) -> None:
    with pytest.raises(httpx.ReadTimeout):
        browser.post("/slow", params={"times": times}, content=b"{}", timeout=2.0)
    wait_for(clickhouse, 0)
    assert browser.get("/quick").text == "1\n"


def test_what_waits_for_its_turn_never_begins(
    clickhouse: ClickHouse, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        browser.post("/slow", params={"times": reads.AT_ONCE * 3}, content=b"{}", timeout=2.0)
    wait_for(clickhouse, 0)
    time.sleep(0.5)
    assert int(str(clickhouse.command(RUNNING))) == 0


def test_too_many_are_asked_to_come_back(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "WAITING_MAX", 0)
    answer = browser.get("/quick")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
