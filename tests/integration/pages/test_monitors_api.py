"""What agents and programs ask of monitors: the signed set, its hash with each ping, runs, and monitors as files."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis.asyncio

from domain import bundles
from domain.rollouts import Move, Stage
from schema import api_keys, monitor_runs, monitors, statuses
from tests.integration.pages.site import Site, Tenant, new_tenant

SCRIPT = "gauge('disk.used', 1)\n"


class Programs:
    """An account as its agents and programs see it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.tenant: Tenant = new_tenant(site, f"monitors-{uuid4().hex}")
        made = api_keys.create(site.control, self.tenant.account_id, "git", ["manage"], _now())
        self.agent = site.client(authorization=f"Bearer {self.tenant.key}")
        self.program = site.client(authorization=f"Bearer {made.secret}")

    def close(self) -> None:
        self.agent.close()
        self.program.close()

    def write(self, name: str, script: str = SCRIPT, *, expect: int | None = None, **more: Any) -> dict[str, Any]:
        body = {"spec": {"script": script}, "target": {"match": "*"}, **more}
        answer = self.program.put(f"/api/v1/monitors/{name}", json=body)
        assert answer.status_code in ((expect,) if expect else (200, 201)), answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ping(self, node: str, monitors: str | None = "", **more: Any) -> dict[str, Any] | None:
        agent = {"version": "1", "monitors": "http"}
        answer = self.agent.post("/api/v1/ping", json={"node": node, "monitors": monitors, "agent": agent, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] | None = answer.json()["monitors"]
        return found

    def bundle(self, node: str, **headers: str) -> httpx.Response:
        return self.agent.get("/api/v1/monitors", params={"node": node}, headers=headers)

    def run_to_all(self, name: str) -> None:
        """As the scheduler would, in a moment."""
        control = self.site.control
        found = monitors.find(control, self.tenant.account_id, name)
        for stage in (Stage.SHARE, Stage.ALL, Stage.DONE):
            moved = monitors.move(control, found, Move(stage), _now())
            assert moved
            found = moved


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def programs(site: Site) -> Iterator[Programs]:
    made = Programs(site)
    yield made
    made.close()


def wait_for_hash(programs: Programs, node: str, known: str) -> str:
    """Other processes hear of a change; so does this one, in a moment."""
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        told = programs.ping(node, known)
        if told:
            return str(told["hash"])
        time.sleep(0.05)
    pytest.fail("no ping told of the change")


def test_a_set_is_signed_and_its_hash_comes_with_a_ping(programs: Programs) -> None:
    assert programs.ping("web-1") is None
    assert programs.bundle("web-1").json()["monitors"] == []
    made = programs.write("disk", expect=201)
    assert (made["version"], made["stage"], made["good"]) == (1, "canary", 0)
    assert programs.ping("web-1") is None, "nobody is the canary yet"
    programs.run_to_all("disk")
    programs.write("disk", target={"match": "role=web"})
    assert programs.ping("db-1", labels={"role": "db"}) is None
    programs.ping("web-1", None, labels={"role": "web"})
    told = wait_for_hash_of_web(programs)
    bundle = programs.bundle("web-1").json()
    key = programs.agent.get("/api/v1/monitors/key").json()
    assert bundles.is_genuine(bundle, base64.b64decode(key["public_key"])) and key["key_id"] == bundle["key_id"]
    assert bundle["hash"] == told and bundle["node"] == "web-1"
    assert bundle["account"] == str(programs.tenant.account_id)
    assert abs(bundle["issued_at"] - time.time()) < 5
    (monitor,) = bundle["monitors"]
    assert (monitor["name"], monitor["version"], monitor["script"]) == ("disk", 1, SCRIPT)
    assert programs.ping("web-1", told, labels={"role": "web"}) is None
    fresh = programs.bundle("web-1", **{"if-none-match": f'"{told}"'})
    assert fresh.status_code == 304 and not fresh.content
    assert programs.bundle("db-1").json()["monitors"] == []
    assert programs.ping("web-1", None, labels={"role": "web"}) is None, "its agent runs no monitors"


def wait_for_hash_of_web(programs: Programs) -> str:
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        told = programs.ping("web-1", "", labels={"role": "web"})
        if told:
            return str(told["hash"])
        time.sleep(0.05)
    pytest.fail("no ping told of it")


def test_a_held_ping_is_answered_when_a_monitor_changes(programs: Programs) -> None:
    programs.write("disk")
    programs.run_to_all("disk")
    known = wait_for_hash(programs, "web-1", "")
    answers: list[tuple[float, dict[str, Any] | None]] = []

    def hold() -> None:
        with programs.site.client(authorization=f"Bearer {programs.tenant.key}") as agent:
            body = {"node": "web-1", "monitors": known, "wait": 9, "ping_interval_s": 10}
            told = agent.post("/api/v1/ping", json=body).json()["monitors"]
            answers.append((time.monotonic(), told))

    holding = threading.Thread(target=hold)
    holding.start()
    time.sleep(1)
    assert not answers
    changed_s = time.monotonic()
    assert programs.program.post("/api/v1/monitors/disk/pause").status_code == 200
    holding.join()
    ((at_s, told),) = answers
    assert told == {"hash": ""} and at_s - changed_s < 2


def test_only_a_key_that_manages_may_write(programs: Programs) -> None:
    for answer in (
        programs.agent.get("/api/v1/monitors"),
        programs.agent.put("/api/v1/monitors/disk", json={}),
        programs.agent.delete("/api/v1/monitors/disk"),
        programs.agent.post("/api/v1/monitors/disk/push"),
    ):
        assert answer.status_code == 403 and "scope manage" in answer.json()["detail"]
    assert programs.program.get("/api/v1/monitors", params={"node": "web-1"}).status_code == 403


def test_monitors_are_kept_as_programs_write_them(programs: Programs) -> None:
    programs.write("disk", note="first")
    again = programs.write("disk", expect=200)
    assert again["version"] == 1, "what is so already is no version"
    assert programs.write("disk", SCRIPT + "log('a')")["version"] == 2
    assert programs.write("load", push=False)["stage"] == "none"
    listed = programs.program.get("/api/v1/monitors").json()["monitors"]
    assert [(one["name"], one["version"]) for one in listed] == [("disk", 2), ("load", 1)]
    assert programs.program.post("/api/v1/monitors/disk/push", json={"version": 1}).json()["pushed"] == 1
    assert programs.program.post("/api/v1/monitors/disk/push", json={"version": 9}).status_code == 404
    assert programs.program.post("/api/v1/monitors/disk/pause").json()["paused"] is True
    assert programs.program.post("/api/v1/monitors/disk/resume").json()["paused"] is False
    assert programs.program.delete("/api/v1/monitors/disk").status_code == 200
    assert programs.program.get("/api/v1/monitors/disk").status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"spec": {"script": "log('a'"}}, "Line 1 of the script"),
        ({"spec": {"script": "a = 1\nb == 2"}}, "Line 2 of the script"),
        ({"spec": {"script": SCRIPT, "interval_s": 1}}, "The interval is 5"),
        ({"spec": {}}, "missing required field"),
        ({"spec": {"script": SCRIPT}, "target": {"match": "env=~("}}, "no pattern"),
    ],
)
def test_what_is_wrong_is_said_before_it_is_kept(programs: Programs, body: dict[str, Any], said: str) -> None:
    answer = programs.program.put("/api/v1/monitors/disk", json=body)
    assert answer.status_code == 422 and said in answer.json()["detail"]
    assert programs.program.get("/api/v1/monitors").json() == {"monitors": []}


def test_runs_are_remembered(programs: Programs) -> None:
    programs.write("disk")
    found = monitors.find(programs.site.control, programs.tenant.account_id, "disk")
    run = {"id": str(found.id), "version": 1, "state": "failed", "at": time.time(), "message": "nil", "line": 3}
    answer = programs.agent.post("/api/v1/monitors/runs", params={"node": "web-1"}, json=[run])
    assert answer.status_code == 202 and answer.json() == {"accepted": 1}
    trial = {**run, "trial": "t1", "values": [{"name": "a", "value": 1.5, "labels": {"x": "y"}}]}
    programs.agent.post("/api/v1/monitors/runs", params={"node": "web-1"}, json=[trial])

    async def read() -> tuple[Any, Any]:
        client = redis.asyncio.Redis.from_url(programs.site.settings.redis_url.get_secret_value())
        account = programs.tenant.account_id
        runs = await monitor_runs.read(client, account, [found.id])
        tried = await monitor_runs.trial(client, account, "web-1", "t1")
        await client.aclose()
        return runs[found.id], tried

    runs, tried = asyncio.run(read())
    assert (runs["web-1"].failed, runs["web-1"].line) == (1, 3)
    assert json.loads(json.dumps(tried.values[0].labels)) == {"x": "y"}
    assert programs.agent.post("/api/v1/monitors/runs", params={"node": "no good"}, json=[]).status_code == 422


def test_what_a_run_says_is_a_status_like_any_other(programs: Programs) -> None:
    programs.write("disk")
    programs.run_to_all("disk")
    programs.ping("web-1")
    wait_for_hash(programs, "web-1", "")
    found = monitors.find(programs.site.control, programs.tenant.account_id, "disk")
    run = {"id": str(found.id), "version": 1, "state": "ok", "at": time.time()}
    said = {"name": "room", "state": "critical", "message": "full"}
    answer = programs.agent.post("/api/v1/monitors/runs", params={"node": "web-1"}, json=[{**run, "statuses": [said]}])
    assert answer.status_code == 202
    (status,) = statuses.list_for(programs.site.control, programs.tenant.account_id)
    assert (status.group.labels, status.status.message) == ({"monitor": "disk", "node": "web-1"}, "full")
    trial = {**run, "statuses": [{**said, "name": "tried"}], "trial": "t1", "at": time.time()}
    other = {**run, "id": str(uuid4()), "statuses": [{**said, "name": "unknown"}]}
    programs.agent.post("/api/v1/monitors/runs", params={"node": "web-1"}, json=[trial, other])
    assert len(statuses.list_for(programs.site.control, programs.tenant.account_id)) == 1


def test_a_node_shows_what_it_allows_and_what_it_refuses(programs: Programs) -> None:
    agent = {"monitors": "file,http", "monitors_within": "file=/var/log", "monitors_problem": "signed by another key"}
    told = {"node": "web-1", "monitors": "", "agent": agent}
    assert programs.agent.post("/api/v1/ping", json=told).status_code == 200
    with programs.site.client(programs.tenant.session, accept="text/html") as browser:
        seen = browser.get("/nodes/web-1").text
        assert programs.agent.post("/api/v1/ping", json={"node": "web-2", "agent": {"monitors": ""}}).status_code == 200
        plain = browser.get("/nodes/web-2").text
    assert "file,http" in seen and "file=/var/log" in seen and "signed by another key" in seen
    assert "reach nothing" in plain and "does not run the monitors" not in plain
