"""POST /api/v1/query and what surrounds it, over HTTP."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.pages.site import HOSTILE, WITHIN_S, Site, Tenant, new_tenant

NOW_S = int(time.time()) // 60 * 60
FROM_S, TO_S = NOW_S - 1_200, NOW_S - 600


@pytest.fixture(scope="module")
def tenant(site: Site) -> Tenant:
    """An account whose three nodes have sent ten minutes of a gauge and a counter."""
    found = new_tenant(site, "explorer")
    snapshots = [
        {
            "node": node,
            "ts": ts,
            "metrics": {
                "jobs.running": 10 * (n + 1),
                "jobs.done": (ts - FROM_S) * (n + 1),
                'disk.used_bytes{device="a"}': 1024 * (n + 1),
                'disk.used_bytes{device="=b"}': 2048,
            },
        }
        for n, node in enumerate(("api-1", "api-2", "db"))
        for ts in range(FROM_S, TO_S, 10)
    ]
    with site.client(authorization=f"Bearer {found.key}") as agent:
        assert agent.post("/api/v1/snapshots", json=snapshots).status_code == 202
        deadline_s = time.monotonic() + WITHIN_S
        while not agent.get("/api/v1/metrics").json()["series"]:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
    return found


@pytest.fixture
def client(site: Site, tenant: Tenant) -> Iterator[httpx.Client]:
    with site.client(authorization=f"Bearer {tenant.key}") as found:
        yield found


def ask(client: httpx.Client, graph: dict[str, Any], path: str = "/api/v1/query", **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return client.post(path, json={"from": FROM_S, "to": TO_S, "step": 60, "graph": graph, **more}, headers=headers)


def query(metric: str, name: str = "A", **more: Any) -> dict[str, Any]:
    return {"id": name, "metric": metric, **more}


def test_lines_come_on_one_grid(client: httpx.Client) -> None:
    found = ask(client, {"queries": [query("jobs.running")]}).json()
    assert {key: found[key] for key in ("start_s", "step_s", "count", "resolution", "unit")} == {
        "start_s": FROM_S, "step_s": 60, "count": 10, "resolution": "1m", "unit": "count",
    }  # fmt: skip
    assert [(line["name"], line["labels"], set(line["values"])) for line in found["lines"]] == [
        ("api-1", {"node": "api-1"}, {10}),
        ("api-2", {"node": "api-2"}, {20}),
        ("db", {"node": "db"}, {30}),
    ]
    assert found["lines"][0]["min"] == found["lines"][0]["max"] == [10] * 10
    assert found["queries"] == {"A": {"shown": 3, "count": 3}}


def test_what_is_lacking_is_null(client: httpx.Client) -> None:
    found = ask(client, {"queries": [query("jobs.running", by=[])]}, **{"from": FROM_S - 120}).json()
    assert found["lines"][0]["values"] == [None, None, *[20] * 10]


def test_everything_at_once(client: httpx.Client) -> None:
    graph = {
        "queries": [
            query("jobs.done", over="rate", by=["node"], across="sum", match=["node=~api-.*"]),
            query("jobs.running", "B", by=[], across="sum", hidden=True),
        ],
        "formulas": [{"id": "F1", "expr": "A / B * 120"}],
    }
    found = ask(client, graph).json()
    assert [(line["query"], line["name"], round(line["values"][5], 6)) for line in found["lines"]] == [
        ("A", "jobs.done · api-1", 1),
        ("A", "jobs.done · api-2", 2),
        ("F1", "A / B * 120 · api-1", 2),
        ("F1", "A / B * 120 · api-2", 4),
    ]


def test_a_comparison_lies_on_the_grid_of_now(client: httpx.Client) -> None:
    asked = {"graph": {"queries": [query("jobs.running", by=[])], "shift": ["1h"]}, "from": FROM_S + 3_600}
    found = client.post("/api/v1/query", json={**asked, "to": TO_S + 3_600, "step": 60}).json()
    assert [(line["shift"], line["name"], line["values"]) for line in found["lines"]] == [
        ("1h", "jobs.running (1h before)", [20] * 10)
    ]


def test_closed_buckets_are_read_once_and_open_ones_each_time(client: httpx.Client, theirs: Tenant, site: Site) -> None:
    graph = {"queries": [query("jobs.running", by=["node"], across="max")], "thresholds": [{"value": time.time()}]}
    closed = {"from": FROM_S, "to": TO_S - 60}
    first, again = (ask(client, graph, **closed).json() for _ in range(2))
    assert first["rows_read"] > 0 and again["rows_read"] == 0 and again["lines"] == first["lines"]
    with site.client(authorization=f"Bearer {theirs.key}") as other:
        assert ask(other, graph, **closed).json()["lines"] == []
    for _ in range(2):
        assert ask(client, graph, to=NOW_S, step=30).json()["rows_read"] > 0  # from a minute on, for a sixtieth of it


def test_more_lines_than_asked_for_are_the_largest(client: httpx.Client) -> None:
    found = ask(client, {"queries": [query("jobs.running")]}, lines=1).json()
    assert [line["name"] for line in found["lines"]] == ["db"]
    assert found["queries"] == {"A": {"shown": 1, "count": 3}}


@pytest.mark.parametrize(
    ("metric", "over", "unit"),
    [
        ("disk.used_bytes", "avg", "bytes"),
        ("disk.used_bytes", "rate", "bytes_per_s"),
        ("disk.used_bytes", "count", "count"),
        ("jobs.done", "rate", "per_s"),
    ],
)
def test_units_follow_what_is_asked(client: httpx.Client, metric: str, over: str, unit: str) -> None:
    assert ask(client, {"queries": [query(metric, over=over)]}).json()["unit"] == unit


def test_a_table_for_spreadsheets(client: httpx.Client) -> None:
    graph = {"queries": [query("disk.used_bytes", match=["node=db"])]}
    answer = ask(client, graph, headers={"accept": "text/csv"}, **{"from": FROM_S - 60})
    rows = answer.text.split("\r\n")
    assert answer.headers["content-type"].startswith("text/csv")
    assert rows[0] == "time,'=b,a"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(FROM_S))
    assert rows[1].endswith(",,") and rows[2] == f"{at},2048.0,3072.0"


def test_sql_is_told_for_every_query(client: httpx.Client, tenant: Tenant, site: Site) -> None:
    graph = {"queries": [query("jobs.running", top=1), query("jobs.done", "B", hidden=True)], "shift": ["1d"]}
    text = ask(client, graph, "/api/v1/query/sql").json()["sql"]
    assert text.count("-- A: avg of jobs.running") == 2 and "-- B" not in text
    rows = site.app.state.stores.clickhouse.query(text.split(";")[0]).result_rows
    assert {row[0] for row in rows} == {"db"} and len(rows) == 10


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", ["disk.used_bytes", "jobs.done", "jobs.running"]),
        ("jobs", ["jobs.done", "jobs.running"]),
        ("USED disk", ["disk.used_bytes"]),
        ("running", ["jobs.running"]),
        ("nothing", []),
        ("%", []),
        ("d", ["disk.used_bytes", "jobs.done"]),
    ],
)
def test_metrics_are_found_by_their_words(client: httpx.Client, words: str, names: list[str]) -> None:
    found = client.get("/api/v1/metrics/search", params={"q": words}).json()
    assert [one["name"] for one in found["metrics"]] == names
    if "disk.used_bytes" in names:
        disk = found["metrics"][names.index("disk.used_bytes")]
        assert (disk["series"], disk["nodes"], disk["unit"]) == (6, 3, "bytes")


def test_lists_say_when_there_is_more(client: httpx.Client) -> None:
    found = client.get("/api/v1/metrics/search", params={"limit": 2}).json()
    assert (len(found["metrics"]), found["more"]) == (2, True)


def test_labels_and_their_values_are_listed(client: httpx.Client, theirs: Tenant) -> None:
    assert client.get("/api/v1/labels", params={"metric": "disk.used_bytes"}).json() == {
        "labels": [{"name": "device", "values": 2}],
        "more": False,
    }
    values = "/api/v1/labels/{}/values"
    found = client.get(values.format("device"), params={"metric": "disk.used_bytes"}).json()["values"]
    assert found == [{"value": "=b", "series": 3}, {"value": "a", "series": 3}]
    nodes = client.get(values.format("node"), params={"q": "PI"}).json()["values"]
    assert [one["value"] for one in nodes] == ["api-1", "api-2"]
    assert client.get(values.format("canary")).json()["values"] == []
    assert client.get(values.format("x' OR 1=1")).json()["values"] == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "graph"),
        ({"graph": {}, "from": "yesterday"}, 422, "now-6h"),
        ({"graph": {}, "from": 10, "to": 5}, 422, "before"),
        ({"graph": {}, "lines": 5_000}, 422, "lines"),
        ({"graph": {}, "steps": 5}, 422, "steps"),
        ({"graph": {"queries": [{"id": "A"}]}}, 422, "metric"),
    ],
    ids=str,
)
def test_bad_questions_are_explained(client: httpx.Client, body: dict[str, Any], status: int, said: str) -> None:
    answer = client.post("/api/v1/query", json=body)
    assert answer.status_code == status and said in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_broken_bodies_are_explained(client: httpx.Client) -> None:
    assert client.post("/api/v1/query", content=b"{").status_code == 400
    assert client.post("/api/v1/query", content=b" " * 200_000).status_code == 413


def test_who_may_ask(site: Site, tenant: Tenant, theirs: Tenant) -> None:
    graph = {"queries": [query("jobs.running")]}
    with site.client() as nobody:
        assert ask(nobody, graph).status_code == 401
    with site.client(tenant.session) as person:
        assert len(ask(person, graph, headers={"sec-fetch-site": "same-origin"}).json()["lines"]) == 3
        assert ask(person, graph, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    with site.client(theirs.session) as other:
        assert ask(other, graph).json()["lines"] == []


def test_the_page_keeps_its_address_from_becoming_markup(browser: httpx.Client) -> None:
    page = browser.get("/explore", params={"A": "cpu", "A.match": f"x={HOSTILE}", "threshold": f"1:{HOSTILE}"}).text
    assert "onerror=alert(1)>" not in page and "data-graph" in page
    page = browser.get("/explore", params={"A": HOSTILE}).text
    assert "<img" not in page and "could not be read" in page


def test_a_percentile_over_time_is_of_samples_as_long_as_they_are_kept(client: httpx.Client) -> None:
    asked = {"queries": [{"id": "A", "metric": "jobs.running", "over": "p95", "by": [], "across": "max"}]}
    found = ask(client, asked, **{"from": "now-30d", "to": "now", "step": None}).json()
    assert found["resolution"] == "raw"
    refused = ask(client, asked, **{"from": "now-31d", "to": "now", "step": None})
    assert refused.status_code == 422 and "kept for 30 days" in refused.json()["detail"]
    shifted = ask(client, asked | {"shift": ["1w"]}, **{"from": "now-25d", "to": "now", "step": None})
    assert shifted.status_code == 422
    across = {"queries": [{"id": "A", "metric": "jobs.running", "by": [], "across": "p95"}]}
    whole = ask(client, across, **{"from": "now-1y", "to": "now", "step": None}).json()
    assert whole["resolution"] == "1h" and whole["lines"]
