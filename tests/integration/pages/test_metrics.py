"""/metrics, /readyz and request ids of a running API: what operators and their Prometheus see."""

import asyncio
import re
import time
from collections.abc import Mapping

import httpx
import pytest
import redis
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text
from pydantic import SecretStr
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from domain import metering
from schema import keys, own_figures
from tests.integration.pages.site import WITHIN_S, Site, Tenant

Figures = Mapping[str, float]


def figures(site: Site, **headers: str) -> dict[str, float]:
    """Every figure by its name and labels, without those that say who told it."""
    text = told(site, **headers).text
    return {
        name_of(sample.name, sample.labels): sample.value for family in parse_text(text) for sample in family.samples
    }


def told(site: Site, **headers: str) -> httpx.Response:
    with site.client(**headers) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return answer


def name_of(name: str, labels: Mapping[str, str]) -> str:
    own = [f"{key}={value}" for key, value in sorted(labels.items()) if key not in ("process", "host")]
    return f"{name}{{{','.join(own)}}}" if own else name


def post(site: Site, key: str, body: object) -> httpx.Response:
    with site.client(authorization=f"Bearer {key}") as client:
        return client.post("/api/v1/snapshots", json=body)


def test_prometheus_reads_both_dialects(site: Site, ours: Tenant) -> None:
    text = told(site)
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in parse_text(text.text)}
    in_open = told(site, accept="application/openmetrics-text; version=1.0.0")
    assert in_open.headers["content-type"].startswith("application/openmetrics-text")
    assert names == {family.name for family in parse_open(in_open.text)}
    assert {
        "metrist_samples_accepted",
        "metrist_ingest_lag_seconds",
        "metrist_spool_bytes",
        "metrist_requests",
        "metrist_request_seconds",
        "metrist_pings_held",
        "metrist_live_streams",
        "metrist_queue_jobs",
        "metrist_table_parts",
        "metrist_clickhouse_slow",
        "metrist_answers",
        "metrist_loop_late_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
    } <= names


def test_what_happens_is_counted(site: Site, ours: Tenant) -> None:
    before = figures(site)
    sent_s = time.time()
    body = {"node": "rack/web-1", "ts": sent_s, "metrics": {"load.1m": 1, "not a name": 1, "x": "text"}}
    assert post(site, ours.key, body).json()["refused"] == 2
    assert post(site, ours.key, body).json()["duplicate"]
    assert post(site, "mtr_0000000000000000_" + "x" * 43, body).status_code == 401
    rise = "metrist_ingest_lag_seconds_count"
    deadline_s = time.monotonic() + WITHIN_S
    while (after := figures(site))[rise] == before[rise] and time.monotonic() < deadline_s:
        time.sleep(0.1)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown("metrist_samples_accepted_total") == 1
    assert grown("metrist_batches_repeated_total") == 1
    assert sum(grown(name) for name in after if name.startswith("metrist_samples_refused_total")) == 4
    route = "method=POST,route=/api/v1/snapshots"
    assert grown(f"metrist_requests_total{{{route},status=202}}") == 2
    assert grown(f"metrist_requests_total{{{route},status=401}}") == 1
    assert grown(f"metrist_request_seconds_count{{{route}}}") == 3
    assert grown(rise) == 1
    assert after["metrist_table_rows{table=samples}"] > 0


def test_a_held_ping_is_counted_as_held_and_not_as_slow(site: Site, ours: Tenant) -> None:
    slow = "metrist_request_seconds_sum{method=POST,route=/api/v1/ping}"
    before = figures(site).get(slow, 0)

    async def hold() -> tuple[float, int]:
        headers = {"authorization": f"Bearer {ours.key}"}
        async with httpx.AsyncClient(base_url=site.url, headers=headers, trust_env=False, verify=False) as client:
            ping = asyncio.create_task(client.post("/api/v1/ping", json={"node": "stream", "wait": 2}, timeout=10))
            await asyncio.sleep(1)
            held = (await asyncio.to_thread(figures, site))["metrist_pings_held"]
            return held, (await ping).status_code

    held, status = asyncio.run(hold())
    assert (held, status) == (1, 200)
    assert figures(site)[slow] - before < 1


def test_worker_and_scheduler_are_told_through_redis(site: Site, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    own_figures.keep(client, "worker", [metering.counters("metrist_jobs", "Jobs", "job", {"prune": 3})], time.time())
    own_figures.keep(client, "scheduler", [metering.gauge("metrist_gone", "Old", 1)], time.time() - 61)
    client.hset(keys.FIGURES, "worker/of/another-release", b"\xc1")
    found = asyncio.run(_kept(redis_url))
    assert [one.process for one in found] == ["worker"]
    assert len(client.hkeys(keys.FIGURES)) == 1, "what is old, or of another shape, is thrown away"
    time.sleep(5.1)
    assert figures(site)["metrist_jobs_total{job=prune}"] == 3
    client.close()


def test_queues_are_what_rq_says(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    queue = Queue(keys.UPKEEP, connection=client, serializer=JSONSerializer)
    jobs = [queue.enqueue("nothing", job_id=f"figures-{n}") for n in range(2)]
    FailedJobRegistry(queue=queue).add(Job.create("nothing", connection=client, id="figures-failed"), ttl=60)
    (found,) = (one for one in asyncio.run(_queues(redis_url, time.time() + 30)) if one.name == keys.UPKEEP)
    assert (found.depth, found.failed) == (queue.count, FailedJobRegistry(queue=queue).count)
    assert 29 < found.oldest_s < 60
    for job in jobs:
        job.delete()
    client.delete("rq:failed:upkeep")
    client.close()


async def _kept(redis_url: str) -> list[own_figures.Kept]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        return await own_figures.kept(client, time.time())


async def _queues(redis_url: str, now_s: float) -> list[own_figures.Queue]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        return await own_figures.queues(client, now_s)


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_what_a_proxy_hands_on_is_not_from_here(site: Site, name: str) -> None:
    with site.client(**{name: "127.0.0.1"}) as client:
        assert client.get("/metrics").status_code == 403


def test_the_token_opens_and_nothing_else_does(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.settings, "metrics_token", SecretStr("opens figures"))
    with site.client() as client:
        for wrong in ({}, {"authorization": "Bearer opens"}, {"authorization": "Basic opens figures"}):
            answer = client.get("/metrics", headers=wrong)
            assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer")
        right = {"authorization": "Bearer opens figures", "x-forwarded-for": "203.0.113.9"}
        assert client.get("/metrics", headers=right).status_code == 200


def test_no_account_no_node_and_no_secret_is_in_the_figures(site: Site, ours: Tenant, theirs: Tenant) -> None:
    with site.client() as client:
        client.get("/shared/a-very-secret-token")
        client.get("/invite/another-secret-token")
    text = told(site).text
    for secret in (str(ours.account_id), str(theirs.account_id), "canary", "rack/web-1", "secret-token", ours.key):
        assert secret not in text


def test_ready_names_every_part_with_its_limit(site: Site) -> None:
    with site.client() as client:
        found = client.get("/readyz").json()
    assert set(found) == {"status", "control", "clickhouse", "redis", "spool", "disk", "queue", "background", "clock"}
    assert found["status"] == "degraded"
    assert found["background"]["reason"] == "no sign of life of worker and scheduler: start it"
    assert all(part["ok"] for name, part in found.items() if name not in ("status", "background"))
    assert found["spool"]["facts"]["limit_s"] == 120 and abs(found["clock"]["facts"]["redis_ahead_s"]) < 1


def test_an_answer_its_error_and_a_proxy_share_the_id_of_a_request(site: Site) -> None:
    with site.client() as client:
        answer = client.get("/api/v1/series")
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        given = client.get("/healthz", headers={"x-request-id": "from-the-proxy.1"})
        assert given.headers["x-request-id"] == "from-the-proxy.1"
        forged = client.get("/healthz", headers={"x-request-id": "two words<script>"})
        assert re.fullmatch("[0-9a-f]{16}", forged.headers["x-request-id"])
