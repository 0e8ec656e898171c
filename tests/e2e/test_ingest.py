"""Snapshots over HTTP: every way to get it wrong is answered with what to change, and nothing is stored by half."""

import gzip
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import psutil
import pytest
import zstandard

from schema import accounts, api_keys
from schema.api_keys import ListedKey
from schema.control.engine import open_control
from tests.e2e.platforms import Platform

GOOD = {"node": "bad-1", "metrics": {"probe.value": 1}}
PATH = "/api/v1/snapshots"
MB = 1_048_576


@pytest.fixture(scope="module")
def http(platform: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def headers(platform: Platform) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.key}", "Content-Type": "application/json"}


def counts(platform: Platform, node: str) -> list[float]:
    """How many samples of a node can be read, from the 1m rollup and from raw."""
    found = []
    for step in (60, 1):
        answer = platform.get(
            "/api/v1/series",
            params={"metric": "*", "node": node, "agg": "count", "from": "now-10m", "step": step},
        )
        assert answer.status_code == 200, answer.text
        found.append(sum(sum(one["count"]) for one in answer.json()["series"]))
    return found


@pytest.mark.parametrize(
    ("changes", "content", "status", "slug"),
    [
        pytest.param({"Authorization": None}, b"{}", 401, "missing-key", id="no key"),
        pytest.param({"Authorization": "Basic eDp5"}, b"{}", 401, "missing-key", id="another scheme"),
        pytest.param({"Authorization": "Bearer nonsense"}, b"{}", 401, "wrong-key", id="no key of ours"),
        pytest.param({"Authorization": f"Bearer mtr_{'0' * 16}_{'A' * 43}"}, b"{}", 401, "wrong-key", id="unknown key"),
        pytest.param({}, b"", 400, "malformed-body", id="empty"),
        pytest.param({}, b'{"node": "x", ', 400, "malformed-body", id="cut off"),
        pytest.param({}, b"\xff\xfe", 400, "malformed-body", id="not UTF-8"),
        pytest.param({}, b"[]", 422, "invalid-body", id="empty array"),
        pytest.param({"Content-Type": "text/csv"}, b"a,b", 415, "unsupported-media", id="unknown content type"),
        pytest.param({"Content-Encoding": "br"}, b"{}", 415, "unsupported-media", id="unknown encoding"),
        pytest.param({"Content-Encoding": "gzip"}, b"{}", 400, "malformed-body", id="not gzip"),
        pytest.param({"Content-Encoding": "zstd"}, b"{}", 400, "malformed-body", id="not zstd"),
        pytest.param(
            {"Content-Encoding": "gzip"}, gzip.compress(b'{"node"')[:-4], 400, "malformed-body", id="gzip cut off"
        ),
        pytest.param({}, b" " * (17 * MB), 413, "too-large", id="oversized"),
        pytest.param({"Metrist-Batch-Id": "x" * 65}, b"{}", 422, "invalid-query", id="batch id too long"),
    ],
)
def test_a_bad_request_is_a_problem(
    http: httpx.Client, headers: dict[str, str], changes: dict[str, str | None], content: bytes, status: int, slug: str
) -> None:
    sent = {name: value for name, value in (headers | changes).items() if value is not None}
    answer = http.post(PATH, content=content, headers=sent)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"/docs/problems#{slug}"), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "status", "detail", "instance"}
    assert problem["instance"] == PATH and problem["status"] == status and problem["detail"]
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_malformed_json_names_the_byte(http: httpx.Client, headers: dict[str, str]) -> None:
    problem = http.post(PATH, content=b'{"node":"a","metrics":{"x":}}', headers=headers).json()
    assert problem["offset"] == 27 and "byte 27" in problem["detail"]


def test_a_wrong_method_says_which_is_right(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.get(PATH, headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "POST" in answer.json()["detail"]


def test_an_unknown_address_is_a_problem_too(http: httpx.Client) -> None:
    answer = http.get("/api/v1/nothing")
    assert answer.status_code == 404 and answer.json()["type"].endswith("not-found")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_decompression_bomb_costs_no_memory(
    platform: Platform, http: httpx.Client, headers: dict[str, str], encoding: str
) -> None:
    pid = platform.child_pid("api")
    assert pid
    api = psutil.Process(pid)
    zeroes = b" " * (256 * MB)
    bomb = gzip.compress(zeroes, 9) if encoding == "gzip" else zstandard.compress(zeroes, 19)
    del zeroes
    before, peak, done = api.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], api.memory_info().rss)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = [http.post(PATH, content=bomb, headers=headers | {"Content-Encoding": encoding}) for _ in range(3)]
    done.set()
    watcher.join()
    assert {answer.status_code for answer in answers} == {413}
    assert peak[0] - before < 80 * MB


def test_good_samples_beside_bad_ones_are_kept_and_the_rest_explained(
    platform: Platform, http: httpx.Client, headers: dict[str, str]
) -> None:
    node = f"mixed-{uuid.uuid4().hex[:8]}"
    metrics = {"good.one": 1, "good.two": 2.5, "bad name": 1, "bad.text": "1", "bad.null": None}
    body = json.dumps({"node": node, "metrics": metrics})[:-2] + ', "bad.nan": NaN, "bad.inf": -Infinity}}'
    reply = http.post(PATH, content=body, headers=headers).json()
    assert (reply["accepted"], reply["refused"]) == (2, 5)
    assert {found["reason"]: found["count"] for found in reply["refusals"]} == {
        "metric-name": 1, "not-a-number": 2, "not-finite": 2,
    }  # fmt: skip
    assert all(found["detail"] and found["example"] for found in reply["refusals"])
    platform.wait_until(lambda: counts(platform, node) == [2, 2])


@pytest.mark.parametrize(
    ("ts", "reason"),
    [(time.time() + 3_600, "ts-future"), (1.0, "ts-past"), (time.time() * 1_000, "ts-future"), ("noon", "ts-type")],
    ids=["an hour ahead", "1970", "milliseconds", "text"],
)
def test_times_out_of_range_are_refused_one_by_one(
    http: httpx.Client, headers: dict[str, str], ts: Any, reason: str
) -> None:
    reply = http.post(PATH, content=json.dumps([GOOD | {"ts": ts}, GOOD]), headers=headers).json()
    assert reply["accepted"] == 1
    assert [found["reason"] for found in reply["refusals"]] == [reason]


@pytest.mark.parametrize("times", [1, 2, 5], ids="sent {}×".format)
@pytest.mark.parametrize("has_id", [True, False], ids=["with a batch id", "by its contents"])
@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"], ids=str)
def test_a_batch_sent_again_counts_once(
    platform: Platform, http: httpx.Client, headers: dict[str, str], times: int, has_id: bool, encoding: str | None
) -> None:
    node = f"again-{uuid.uuid4().hex[:8]}"
    body = json.dumps({"node": node, "ts": time.time(), "metrics": {"a.b": 1, 'a.c{d="e"}': 2}}).encode()
    if encoding:
        body = gzip.compress(body) if encoding == "gzip" else zstandard.compress(body)
        headers["Content-Encoding"] = encoding
    if has_id:
        headers["Metrist-Batch-Id"] = node
    replies = [http.post(PATH, content=body, headers=headers) for _ in range(times)]
    assert [reply.status_code for reply in replies] == [202] * times
    assert [reply.json()["duplicate"] for reply in replies] == [False] + [True] * (times - 1)
    assert {reply.json()["accepted"] for reply in replies} == {2}
    platform.wait_until(lambda: counts(platform, node) == [2, 2])


def test_equal_snapshots_without_a_time_are_not_a_resend(http: httpx.Client, headers: dict[str, str]) -> None:
    replies = [http.post(PATH, content=json.dumps(GOOD), headers=headers).json() for _ in range(2)]
    assert [reply["duplicate"] for reply in replies] == [False, False]


def test_the_first_snapshot_registers_its_node(platform: Platform, http: httpx.Client, headers: dict[str, str]) -> None:
    node = f"first-{uuid.uuid4().hex[:8]}"
    http.post(PATH, content=json.dumps(GOOD | {"node": node, "labels": {"rack": "7"}}), headers=headers)
    platform.wait_until(lambda: counts(platform, node) == [1, 1])
    (found,) = platform.get("/api/v1/metrics", params={"node": node}).json()["series"]
    assert (found["metric"], found["labels"], found["last"]) == ("probe.value", {"rack": "7"}, 1)


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        pytest.param({}, "metric", id="no metric"),
        pytest.param({"metric": "a", "from": "later"}, "now-6h", id="bad time"),
        pytest.param({"metric": "a", "from": "now", "to": "now-1h"}, "before", id="backwards"),
        pytest.param({"metric": "a", "agg": "median"}, "agg", id="unknown aggregation"),
        pytest.param({"metric": "a", "points": "0"}, "points", id="no points"),
        pytest.param({"metric": "a", "step": "0"}, "step", id="no step"),
        pytest.param({"metric": "a", "match": "x"}, "key=value", id="bad match"),
    ],
)
def test_a_bad_question_is_a_problem(platform: Platform, parameters: dict[str, str], part: str) -> None:
    answer = platform.get("/api/v1/series", params=parameters)
    assert answer.status_code == 422 and part in answer.json()["detail"]


def test_reading_needs_a_key_or_a_session(http: httpx.Client) -> None:
    assert http.get("/api/v1/series", params={"metric": "a"}).status_code == 401


def test_the_use_of_a_key_is_noted(platform: Platform) -> None:
    platform.wait_until(lambda: all(key.last_used_at for key in keys_of(platform)), 15)


def keys_of(platform: Platform) -> Sequence[ListedKey]:
    control = open_control(f"sqlite:///{platform.data_dir}/control.db")
    try:
        account = accounts.list_all(control)[0]
        return api_keys.list_for(control, account.id)
    finally:
        control.dispose()


def test_acknowledged_only_when_stored_can_be_read_at_once(start: Callable[..., Platform]) -> None:
    platform = start(env={"METRIST_INGEST_ACK": "stored"})
    for number in range(3):
        node = f"stored-{number}"
        assert platform.post_snapshot(node, {"a.b": 1}).status_code == 202
        assert counts(platform, node) == [1, 1]
