"""One site for all tests of pages, with an account that has nodes and another that must stay unseen."""

import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import SecretStr

from domain.settings import Settings
from metrist import valkey
from schema import migrate, nodes
from schema.clickhouse_client import ClickHouse
from schema.control import migrate as control_migrate
from schema.control.engine import open_control
from tests.clickhouse_server import start_engine
from tests.integration.pages.site import HOSTILE, HTML, WITHIN_S, Site, Tenant, free_port, new_tenant, serving


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [
        str(valkey.binary()),
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--save",
        "",
        "--logfile",
        "valkey.log",
    ]
    process = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("valkey"))
    _wait_for(port)
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def site(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with start_engine(folder / "clickhouse") as engine:
        server = engine.server
        address = f"http://{server.username}:{server.password.replace(' ', '%20')}@{server.host}:{server.port}/default"
        settings = Settings(
            clickhouse_url=SecretStr(address),
            redis_url=SecretStr(redis_url),
            database_url=SecretStr(f"sqlite:///{folder}/control.db"),
            spool_dir=folder / "spool",
            port=free_port(),
            insert_interval_s=0.1,
        )
        control = open_control(settings.database_url.get_secret_value())
        control_migrate.upgrade(control)
        clickhouse = ClickHouse(address)
        migrate.upgrade(clickhouse, settings)
        clickhouse.close()
        with serving(settings) as app:
            yield Site(settings.base_url, app, settings, control)
        control.dispose()


@pytest.fixture(scope="session")
def ours(site: Site) -> Tenant:
    """An account with two nodes, one of them with samples, and one with a hostile name."""
    tenant = new_tenant(site, "ours")
    now = datetime.now(UTC)
    nodes.register(site.control, tenant.account_id, HOSTILE, None, now, labels={"x": HOSTILE})
    nodes.register(site.control, tenant.account_id, "stream", None, now)
    nodes.register(site.control, tenant.account_id, "rack/web-1", None, now, labels={"env": "prod"})
    metrics = {
        "cpu.usage_percent": 42,
        'cpu.usage_percent{core="10"}': 1,
        'cpu.usage_percent{core="2"}': 2,
        "load.1m": 1,
    }
    _send(site, tenant, {"node": "rack/web-1", "metrics": metrics})
    return tenant


@pytest.fixture(scope="session")
def theirs(site: Site) -> Tenant:
    tenant = new_tenant(site, "theirs")
    _send(site, tenant, {"node": "canary", "metrics": {"canary.metric": 1}, "labels": {"canary": "label"}})
    return tenant


def _send(site: Site, tenant: Tenant, snapshot: dict[str, object]) -> None:
    with site.client(authorization=f"Bearer {tenant.key}") as agent:
        assert agent.post("/api/v1/snapshots", json=snapshot).status_code == 202
        deadline_s = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline_s:
            if agent.get("/api/v1/metrics", params={"node": str(snapshot["node"])}).json()["series"]:
                return
            time.sleep(0.1)
    pytest.fail("the snapshot never became readable")


@pytest.fixture
def browser(site: Site, ours: Tenant) -> Iterator[httpx.Client]:
    with site.client(ours.session, **HTML) as client:
        yield client


@pytest.fixture
def stranger(site: Site) -> Iterator[httpx.Client]:
    with site.client(**HTML) as client:
        yield client


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"nothing listens on port {port}")
