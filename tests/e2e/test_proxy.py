"""Caddy with the file of compose.yaml, before a real API: what must pass passes at once, what must not does not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.e2e.platforms import Platform, clean_environment, free_port

ROOT = Path(__file__).parents[2]
CADDY = Path(sys.executable).with_name("caddy")
READY_WITHIN_S = 60
AT_ONCE_S = 3.0
"""On a busy machine; a stream that waits in a buffer comes with its end, minutes later."""


@pytest.fixture(scope="module")
def proxy(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy before the shared platform."""
    with _proxied(tmp_path_factory.mktemp("caddy"), urlsplit(platform.url).port or 0) as url:
        yield url


def test_a_stream_passes_as_it_comes(proxy: str, platform: Platform) -> None:
    with _signed_in(proxy, platform) as browser, browser.stream("GET", "/help/agent/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        began = time.monotonic()
        assert next(lines) == "event: door"
        assert time.monotonic() - began < AT_ONCE_S
        name = f"proxied-{time.time_ns()}"
        _post(f"{proxy}/api/v1/ping", platform, {"node": name})
        began = time.monotonic()
        assert any(name in line for line in lines)
        assert time.monotonic() - began < AT_ONCE_S


def test_a_held_ping_is_held_and_answered(proxy: str, platform: Platform) -> None:
    began = time.monotonic()
    answer = _post(f"{proxy}/api/v1/ping", platform, {"node": "held", "wait": 4})
    assert answer.status_code == 200
    assert time.monotonic() - began > 3.5


def test_who_asks_is_told_by_the_proxy_alone(proxy: str, platform: Platform) -> None:
    name = f"asks-{time.time_ns()}"
    lies = {"x-forwarded-for": "203.0.113.66", "x-forwarded-proto": "https", "forwarded": "for=203.0.113.67"}
    _post(f"{proxy}/api/v1/ping", platform, {"node": name}, "127.0.0.5", **lies)
    with _signed_in(proxy, platform) as browser:
        entries = browser.get("/help/agent/door").json()["entries"]
    (entry,) = [one for one in entries if one.get("node") == name]
    assert "127.0.0.5" in str(entry) and "203.0.113" not in str(entry)


def test_a_body_too_large_is_refused_with_a_reason(proxy: str, platform: Platform) -> None:
    answer = _post(f"{proxy}/api/v1/snapshots", platform, {"node": "x" * 17_000_000})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert _post(f"{proxy}/api/v1/snapshots", platform, {"node": "x" * 25_000_000}).status_code == 413


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_what_the_operator_asks_is_not_for_everybody(proxy: str, platform: Platform, path: str) -> None:
    assert httpx.get(proxy + path, trust_env=False).status_code == 404
    assert platform.get(path).status_code == 200
    assert httpx.get(f"{proxy}/healthz", trust_env=False).status_code == 200


def test_a_replica_that_is_back_is_found_again(platform: Platform, tmp_path: Path) -> None:
    port = free_port()
    with _proxied(tmp_path, port) as url:
        answer = httpx.get(f"{url}/healthz", timeout=30, trust_env=False)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.json()["status"] == 503 and int(answer.headers["retry-after"]) > 0
        replica = _replica(platform, tmp_path, port)
        try:
            deadline_s = time.monotonic() + READY_WITHIN_S
            while httpx.get(f"{url}/healthz", timeout=30, trust_env=False).status_code != 200:
                assert time.monotonic() < deadline_s
            assert _post(f"{url}/api/v1/ping", platform, {"node": "second"}).status_code == 200
        finally:
            replica.terminate()
            replica.wait(20)


def _replica(platform: Platform, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """One more API on the platform's stores, with a spool of its own."""
    ours = platform.settings()
    ours.pop("METRIST_PULSE_FD", None)  # a pipe of the one that it was taken from
    told = ours | {"METRIST_PORT": str(port), "METRIST_SPOOL_DIR": str(folder / "spool")}
    with (folder / "api.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "metrist", "api"],
            env=clean_environment() | told,
            cwd=folder,
            stdout=log,
            stderr=log,
        )


@contextmanager
def _proxied(folder: Path, api_port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    told = {"SITE": f":{urlsplit(url).port}", "HEALTH_PORT": str(free_port())}
    told |= {"API_HOST": "localhost", "API_PORT": str(api_port)}
    home = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    command = [CADDY, "run", "--config", ROOT / "deploy/compose/Caddyfile", "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **home, **told}, cwd=folder, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                httpx.get(f"{url}/metrics", trust_env=False, timeout=30)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline_s and process.poll() is None, (folder / "caddy.log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _signed_in(proxy: str, platform: Platform) -> Iterator[httpx.Client]:
    token = parse_qs(urlsplit(platform.new_sign_in_url()).query)["token"]
    with httpx.Client(base_url=proxy, trust_env=False, timeout=30) as browser:
        assert browser.post("/sign-in", data={"token": token}).status_code == 303
        yield browser


def _post(url: str, platform: Platform, body: object, source: str = "127.0.0.1", **headers: str) -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(transport=transport, timeout=30) as client:
        return client.post(url, json=body, headers={"authorization": f"Bearer {platform.key}", **headers})
