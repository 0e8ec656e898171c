"""compose.yaml as an operator starts it, under a name and on ports of its own; for wherever a Docker engine is."""

import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from testcontainers.compose import DockerCompose

from tests.clickhouse_server import why_no_docker
from tests.e2e.platforms import free_port

ROOT = Path(__file__).parents[2]
HEALTHY_WITHIN_S = 300
READABLE_WITHIN_S = 60
ONCE = {"migrate", "certificates"}


@dataclass
class Stack:
    """A running compose.yaml: where it is reached, and its key."""

    url: str
    compose: DockerCompose
    password: str
    key: str = field(default="", init=False)

    def docker(self, *command: str, body: str = "") -> str:
        """`docker compose …`; what it prints."""
        whole = [*self.compose.compose_command_property, *command]
        done = subprocess.run(whole, cwd=ROOT, input=body, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_healthy(self, services: Sequence[str] = ()) -> None:
        """Wait until all services, or these, say that they are well."""
        self.wait_until(lambda: self._ill(services) == [], HEALTHY_WITHIN_S)

    def make_key(self) -> None:
        """An account, and the key of it that all requests take."""
        said = self.docker("run", "--rm", "migrate", "account", "create", "tested")
        found = re.search(r"API key +(mtr_\S+)", said)
        assert found, said
        self.key = found[1]

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request through the proxy."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, trust_env=False, **options)

    def send(self, node: str, values: Sequence[float], **metrics: float) -> None:
        """A second of each value, from ten minutes ago on; acknowledged."""
        start_s = int(time.time()) - 600
        body = [
            {"node": node, "ts": start_s + n, "metrics": {"test.value": value, **metrics}}
            for n, value in enumerate(values)
        ]
        answer = self.request("POST", "/api/v1/snapshots", json=body)
        assert answer.status_code == 202, answer.text

    def count(self, node: str = "*") -> int:
        """How many samples of `test.value` are readable."""
        asked = {"metric": "test.value", "node": node, "from": "now-2h", "agg": "count"}
        answer = self.request("GET", "/api/v1/series", params=asked)
        assert answer.status_code == 200, answer.text
        return sum(sum(one["count"]) for one in answer.json()["series"])

    def wait_until(self, is_true: Callable[[], bool], within_s: float = READABLE_WITHIN_S) -> None:
        """Wait for something to come true; fails with what the services said."""
        deadline_s = time.monotonic() + within_s
        while not is_true():
            if time.monotonic() > deadline_s:
                pytest.fail(self.docker("ps", "--all") + self.docker("logs", "--tail", "30"))
            time.sleep(0.5)

    def _ill(self, services: Sequence[str]) -> list[str]:
        lines = self.docker("ps", "--all", "--format", "json").splitlines()
        seen = [one for line in lines for one in _several(json.loads(line))]
        if not seen:
            return ["nothing runs yet"]
        wanted = [
            one for one in seen if one["Service"] not in ONCE and one["Service"] in (services or [one["Service"]])
        ]
        return [one["Service"] for one in wanted if one["Health"] != "healthy"] or ([] if wanted else ["none is there"])


def why_no_compose() -> str:
    """Empty when a Docker engine answers and its compose is there."""
    if reason := why_no_docker():
        return reason
    program = shutil.which("docker")
    if program is None:
        return "the Docker command line is not installed"
    found = subprocess.run([program, "compose", "version"], capture_output=True, check=False)
    return "" if found.returncode == 0 else "Docker Compose is not installed"


@contextmanager
def started(folder: Path, profile: str, **told: str) -> Iterator[Stack]:
    """The stack with one profile, all of it well; everything is removed afterwards."""
    if reason := why_no_compose():
        pytest.skip(f"containers are not tested here: {reason}")
    port, password = free_port(), secrets.token_hex(16)
    values = {
        "COMPOSE_PROJECT_NAME": f"metrist-test-{secrets.token_hex(4)}",
        "CLICKHOUSE_PASSWORD": password,
        "REDIS_PASSWORD": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HTTP_PORT": str(port),
        "HTTPS_PORT": str(free_port()),
        "CLICKHOUSE_MEMORY": "2g",
        **told,
    }
    env_file = folder / "env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    compose = DockerCompose(ROOT, env_file=str(env_file), profiles=[profile], build=True, wait=False)
    with compose:
        stack = Stack(values["PUBLIC_URL"], compose, password)
        stack.wait_healthy()
        stack.make_key()
        yield stack


def _several(found: Any) -> list[dict[str, Any]]:
    """Older releases of Compose print one array, newer ones an object on each line."""
    return found if isinstance(found, list) else [found]
