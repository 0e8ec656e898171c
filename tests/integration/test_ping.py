"""POST /api/v1/ping over real HTTP, with a real Redis that may go; a ping needs no ClickHouse, so there is none."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine
from structlog.testing import capture_logs

from api.app import create_app
from api.ping import BODY_MAX_BYTES
from domain.commands import Command, CommandState, Kind, order
from domain.nodes import NodeState
from domain.settings import Settings
from metrist.protocol import Protocol
from metrist.server import Server
from schema import accounts, api_keys, commands, events, heartbeats, keys, nodes
from schema.control import migrate
from schema.control.engine import open_control, reading
from schema.heartbeats import Contact, Judged
from schema.nodes import NodeRow
from tests.valkey_server import Valkey, start_valkey
from workers.sweep import sweep_liveness

HOUR_MS = 3_600_000
SOON_S = 0.5


class Api:
    """One API process's worth of platform, its clients, and one account with a key."""

    def __init__(self, server: Server, settings: Settings, control: Engine, valkey: Valkey, http: httpx.Client) -> None:
        self.server = server
        self.settings = settings
        self.control = control
        self.valkey = valkey
        self.http = http
        self.account_id = accounts.create(control, "home", None, datetime.now(UTC)).id
        self.key = api_keys.create(control, self.account_id, "agents", ["ingest"], datetime.now(UTC)).secret
        self.redis = valkey.client()
        self._pool = ThreadPoolExecutor(8)

    def post(self, content: bytes | str, **headers: str) -> httpx.Response:
        told = {"authorization": f"Bearer {self.key}", "content-type": "application/json"} | headers
        return self.http.post("/api/v1/ping", content=content, headers=told)

    def ping(self, node: str, **body: Any) -> dict[str, Any]:
        reply = self.post(json.dumps({"node": node, **body}))
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def hold(self, node: str, wait_s: float) -> "Future[tuple[float, dict[str, Any]]]":
        """A long poll under way; its answer and when that came."""

        def work() -> tuple[float, dict[str, Any]]:
            answer = self.ping(node, wait=wait_s)
            return time.monotonic(), answer

        held = self._pool.submit(work)
        self.wait_until(lambda: self.contact(node) is not None)
        time.sleep(0.1)
        assert not held.done()
        return held

    def issue(self, node: str, kind: Kind = Kind.NOOP) -> Command:
        command = order(node, kind, int(time.time() * 1000), HOUR_MS, payload={"n": 1})
        commands.issue_sync(self.redis, self.account_id, command)
        return command

    def contact(self, node: str) -> Contact | None:
        return heartbeats.read_contacts_sync(self.redis, self.account_id, [node]).get(node)

    def node(self, name: str) -> NodeRow | None:
        return nodes.find(self.control, self.account_id, name)

    def state_of(self, node: str, command: Command) -> CommandState:
        record = self.redis.hget(keys.commands(self.account_id, node), command.id)
        return commands.unpack(node, [command.id.encode(), record])[0].state

    def wait_until(self, is_so: Any, within_s: float = 5) -> None:
        until_s = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < until_s
            time.sleep(0.01)

    def close(self) -> None:
        self._pool.shutdown()
        self.redis.close()


@contextmanager
def serving(folder: Path, valkey: Valkey, **options: Any) -> Iterator[Api]:
    """The API in a thread, on a free port."""
    settings = Settings(
        _env_file=None,
        redis_url=valkey.url,
        database_url=f"sqlite:///{folder}/control.db",
        clickhouse_url="http://metrist:metrist@127.0.0.1:1/default",
        spool_dir=folder / "spool",
        **options,
    )
    control = open_control(settings.database_url.get_secret_value())
    migrate.upgrade(control)
    app = create_app(settings)
    config = uvicorn.Config(app, loop="uvloop", http=Protocol, ws="none", lifespan="on", log_config=None)
    server = Server(config, app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with (
                httpx.Client(base_url=url, timeout=30) as http,
                closing(Api(server, settings, control, valkey, http)) as api,
            ):
                yield api
        finally:
            server.should_exit = True
            thread.join()
            control.dispose()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, valkey_server: Valkey) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("api"), valkey_server) as api:
        yield api


def test_the_shortest_ping_registers_a_node(api: Api) -> None:
    began_s = time.time()
    answer = api.ping("first")
    assert answer | {"server_time": 0, "ping_interval_s": 10} == {
        "server_time": 0,
        "ping_interval_s": 10,
        "commands": [],
        "node": {"name": "first", "state": "online"},
        "monitors": None,
        "live": None,
    }
    assert began_s - 0.01 <= answer["server_time"] <= time.time() + 0.01
    assert 5 <= answer["ping_interval_s"] <= 10
    node, contact = api.node("first"), api.contact("first")
    assert node is not None
    assert contact is not None
    assert (node.state, int(node.registered_at.timestamp() * 1000)) == (NodeState.ONLINE, contact.last)


def test_what_a_node_says_of_itself_is_kept(api: Api) -> None:
    sent_at = time.time() + 300
    said = {"agent": {"version": "1.2", "cores": 8}, "labels": {"role": "web"}, "instance": "i1"}
    api.ping("telling", sent_at=sent_at, ping_interval_s=60, monitors="abc", **said)
    node, contact = api.node("telling"), api.contact("telling")
    assert node is not None
    assert contact is not None
    assert (node.agent, node.labels, node.instance_id) == (said["agent"], said["labels"], "i1")
    assert (contact.interval, contact.instance) == (60_000, "i1")
    assert contact.skew is not None
    assert abs(contact.skew - 300_000) < 2_000


def test_nodes_are_asked_at_different_intervals(api: Api) -> None:
    asked = [api.ping(f"spread-{number}")["ping_interval_s"] for number in range(50)]
    assert all(5 <= interval_s <= 10 for interval_s in asked)
    assert len(set(asked)) > 2  # to each its own instant, at most half an interval early


def test_many_first_pings_register_one_node(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: api.ping("herd"), range(16)))
    node = api.node("herd")
    assert node is not None
    with reading(api.control) as conn:
        assert [event.type for event in events.read(conn, f"node/{node.id}")] == ["node_registered"]


def test_curl_needs_no_content_type(api: Api) -> None:
    assert api.post('{"node": "curl"}', **{"content-type": "application/x-www-form-urlencoded"}).status_code == 200


def test_a_ping_may_be_compressed(api: Api) -> None:
    assert api.post(gzip.compress(b'{"node": "small"}'), **{"content-encoding": "gzip"}).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "slug", "says"),
    [
        ("", 400, "malformed-body", "empty"),
        ("  \n", 400, "malformed-body", "empty"),
        ('{"node": ', 400, "malformed-body", "truncated"),
        ('{"node": "a"} x', 400, "malformed-body", "not JSON"),
        (b'{"node": "\xff"}', 400, "malformed-body", "UTF-8"),
        ('{"node": "a", "more": ' + "[" * 100_000, 400, "malformed-body", "nests"),
        ("[]", 422, "invalid-body", "array"),
        ("{}", 422, "invalid-body", "node"),
        ('{"node": 7}', 422, "invalid-body", "$.node"),
        ('{"node": ""}', 422, "invalid-body", "node"),
        ('{"node": "a b"}', 422, "invalid-body", "node name"),
        ('{"node": "' + "a" * 129 + '"}', 422, "invalid-body", "128"),
        ('{"node": "a", "wait": -1}', 422, "invalid-body", "wait"),
        ('{"node": "a", "wait": "5"}', 422, "invalid-body", "$.wait"),
        ('{"node": "a", "sent_at": 1e300}', 422, "invalid-body", "sent_at"),
        ('{"node": "a", "instance": "two words"}', 422, "invalid-body", "instance"),
        ('{"node": "a", "labels": {"a b": "c"}}', 422, "invalid-body", "label"),
        ('{"node": "a", "agent": {"os": "\\u0000"}}', 422, "invalid-body", "agent"),
        ('{"node": "a", "finished": [{"id": "x", "state": "gone"}]}', 422, "invalid-body", "state"),
        (" " * (BODY_MAX_BYTES + 1), 413, "too-large", ""),
    ],
    ids=range(20),
)
def test_a_wrong_body_is_a_problem(api: Api, content: bytes | str, status: int, slug: str, says: str) -> None:
    reply = api.post(content)
    problem = reply.json()
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["type"], problem["instance"]) == (
        status,
        f"/docs/problems#{slug}",
        "/api/v1/ping",
    )
    assert says in problem["detail"]
    assert api.node("a") is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer mtr_" + "0" * 16 + "_" + "x" * 43}, 401),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-ndjson"}, 415),
        ({"content-encoding": "br"}, 415),
    ],
)
def test_a_wrong_header_is_a_problem(api: Api, headers: dict[str, str], status: int) -> None:
    reply = api.post('{"node": "stranger"}', **headers)
    assert (reply.status_code, reply.json()["status"]) == (status, status)
    assert api.contact("stranger") is None


def test_who_leaves_in_the_middle_of_a_body_is_no_mistake_of_ours(api: Api) -> None:
    url = api.http.base_url
    head = f"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\nContent-Length: 99\r\n\r\n{{"
    with capture_logs() as said:
        with socket.create_connection((url.host, url.port or 80)) as connection:
            connection.sendall(head.encode())
            time.sleep(0.2)
        time.sleep(0.3)
    assert said == []
    assert api.ping("web-1")["node"]["name"] == "web-1"


def test_a_waiting_command_comes_at_once_and_its_report_ends_it(api: Api) -> None:
    command = api.issue("asked")
    (told,) = api.ping("asked", wait=10)["commands"]
    assert told == {"id": command.id, "kind": "noop", "payload": {"n": 1}, "expires_at": command.expires_ms / 1000}
    for _ in range(2):
        assert api.ping("asked", finished=[{"id": command.id, "state": "done", "message": "ok"}])["commands"] == []
    assert api.state_of("asked", command) == CommandState.DONE


def test_a_held_ping_is_answered_when_a_command_appears(api: Api) -> None:
    held = api.hold("held", 8)
    other = api.hold("other", 1)
    issued_s = time.monotonic()
    command = api.issue("held")
    answered_s, answer = held.result()
    assert [told["id"] for told in answer["commands"]] == [command.id]
    assert answered_s - issued_s < SOON_S
    assert other.result()[1]["commands"] == []


def test_a_held_ping_is_handed_nothing_after_its_key_is_revoked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    key = api_keys.create(api.control, api.account_id, "another", ["ingest"], now)
    monkeypatch.setattr(api, "key", key.secret)
    held = api.hold("held", 5)
    api_keys.revoke(api.control, api.account_id, key.id, now)
    api_keys.tell_revoked_sync(api.redis, key.id)
    time.sleep(0.2)  # heard on another connection than the wake
    command = api.issue("held")
    with pytest.raises(AssertionError, match="wrong-key"):
        held.result(5)
    assert api.state_of("held", command) == CommandState.QUEUED


def test_a_held_ping_is_answered_empty_when_its_time_is_over(api: Api) -> None:
    began_s = time.monotonic()
    assert api.ping("patient", wait=0.4)["commands"] == []
    assert 0.4 <= time.monotonic() - began_s < 0.4 + SOON_S


def test_a_command_is_not_spent_on_who_has_hung_up(api: Api) -> None:
    with pytest.raises(httpx.ReadTimeout):
        api.http.post(
            "/api/v1/ping",
            json={"node": "gone", "wait": 9},
            headers={"authorization": f"Bearer {api.key}"},
            timeout=httpx.Timeout(5, read=0.3),
        )
    time.sleep(0.2)
    command = api.issue("gone")
    assert [told["id"] for told in api.ping("gone")["commands"]] == [command.id]


def test_a_returned_node_is_told_that_it_was_deregistered(api: Api) -> None:
    api.ping("away")
    contact = api.contact("away")
    assert contact is not None
    now, silent_ms = datetime.now(UTC), (api.settings.deregister_after_s + 1) * 1000
    silent = Judged("away", contact.last, "online", contact.last, contact.last - silent_ms, 10_000)
    heartbeats.settle(api.redis, api.account_id, [silent], contact.last)
    api.redis.hset(keys.HEARING, "since", 0)
    sweep_liveness(api.control, api.redis, api.settings, now)
    node = api.node("away")
    assert node is not None
    assert node.state == NodeState.DEREGISTERED
    assert [told["kind"] for told in api.ping("away")["commands"]] == ["deregister"]


def test_waiting_is_clamped_to_the_ping_interval(tmp_path: Path, valkey: Valkey) -> None:
    with serving(tmp_path, valkey, ping_interval_s=1) as api:
        began_s = time.monotonic()
        api.ping("patient", wait=55)
        assert 1 <= time.monotonic() - began_s < 1 + SOON_S


def test_a_stop_answers_held_pings(tmp_path: Path, valkey: Valkey) -> None:
    with serving(tmp_path, valkey) as api:
        held = api.hold("held", 9)
        began_s = time.monotonic()
        api.server.should_exit = True
        answered_s, answer = held.result()
    assert answer["commands"] == []
    assert answered_s - began_s < SOON_S


def test_without_redis_pings_are_answered_and_nodes_registered(tmp_path: Path) -> None:
    with start_valkey() as valkey, serving(tmp_path, valkey) as api:
        api.ping("known")
        valkey.kill()
        began_s = time.monotonic()
        for name in ("known", "new"):
            assert api.ping(name)["commands"] == []
        assert api.ping("new", wait=0.2)["commands"] == []
        assert time.monotonic() - began_s < 3
        node = api.node("new")
        assert node is not None
        assert node.state == NodeState.ONLINE
        valkey.start()
        held = api.hold("known", 9)
        command = api.issue("known")
        assert [told["id"] for told in held.result()[1]["commands"]] == [command.id]
