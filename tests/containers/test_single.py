"""The stack with one ClickHouse: from a snapshot to a graph, with replicas that come and go."""

from collections.abc import Iterator

import pytest

from tests.containers.stack import Stack, started


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started(tmp_path_factory.mktemp("single"), "single") as running:
        yield running


def test_what_is_sent_is_read_once(stack: Stack) -> None:
    stack.send("first", [1, 2, 3])
    stack.wait_until(lambda: stack.count("first") == 3)
    assert stack.request("GET", "/metrics").status_code == 404, "that is not for outside"


def test_the_processes_are_nobody_and_write_nowhere_else(stack: Stack) -> None:
    for service in ("api", "worker", "scheduler"):
        assert stack.docker("exec", "-T", service, "id", "-u").strip() == "10001"
        assert "no" in stack.docker("exec", "-T", service, "sh", "-c", "touch /opt/x 2>/dev/null || echo no")


def test_a_replica_that_is_killed_loses_nothing(stack: Stack) -> None:
    stack.docker("up", "--detach", "--no-recreate", "--scale", "api=2", "api")
    stack.wait_healthy(["api"])
    folders = stack.docker("exec", "-T", "api", "ls", "/var/lib/metrist/spool").split()
    assert len(folders) >= 2, "each replica has a folder of its own"
    stack.docker("pause", "clickhouse")
    stack.send("spooled", [float(n) for n in range(10)])
    stack.docker("kill", "--signal", "KILL", "api")
    stack.docker("unpause", "clickhouse")
    stack.docker("up", "--detach", "--no-recreate", "--scale", "api=2", "api")
    stack.wait_healthy(["api", "clickhouse"])
    stack.wait_until(lambda: stack.count("spooled") == 10)


def test_the_installer_comes_through_the_proxy(stack: Stack) -> None:
    script = stack.request("GET", "/install.sh").text
    assert script.startswith("#!/bin/sh") and f"SERVER={stack.url}\n" in script
