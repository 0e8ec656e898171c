"""Pages of conditions: made by a form, what fires first, acknowledged, explained; a month tried in advance."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import msgspec
import pytest

from domain.condition_specs import Condition, MetricRule, Spec
from domain.conditions import Reading, Severity, advance, first
from domain.evaluation import Move, group
from domain.ids import AccountId
from domain.query import Query
from schema import conditions, outbox, outcomes, samples, silences, statuses
from schema.clickhouse_client import ClickHouse
from schema.outcomes import Outcome
from schema.statuses import Judged
from tests.integration.pages.site import HOSTILE, HTML, Site, Tenant, new_tenant
from tests.notices import House

FORM = {
    "name": "CPU is busy",
    "kind": "metric",
    "metric": "cpu.busy_percent",
    "match": "node=~web-.*\nenv!=test",
    "groups": "node",
    "over": "avg",
    "across": "max",
    "window_s": "60",
    "every_s": "10",
    "comparison": ">",
    "threshold": "90",
    "clear": "80",
    "hold_s": "60",
    "keep_firing_s": "0",
    "no_data": "show",
    "no_data_after_s": "300",
    "severity": "critical",
    "labels": "team=web",
    "runbook": "https://wiki/cpu",
    "message": "{{ value }}",
    "capture": "firing",
    "minutes": "3",
}
CPU = Spec(MetricRule(Query("A", "cpu.busy_percent", by=("node",)), 60, 10, ">", 90.0), severity=Severity.CRITICAL)
WEB = group({"node": "web-1"})


@pytest.fixture
def home(site: Site) -> Tenant:
    return new_tenant(site, f"home-{uuid4().hex[:8]}")


@pytest.fixture
def browser(site: Site, home: Tenant) -> Iterator[httpx.Client]:
    with site.client(home.session, **HTML) as client:
        yield client


def a_condition(site: Site, home: Tenant, name: str = "CPU is busy", spec: Spec = CPU) -> Condition:
    now = datetime.now(UTC) - timedelta(minutes=5)
    return conditions.create(site.control, home.account_id, name, spec, now, actor=f"user/{uuid4()}")


def fire(site: Site, condition: Condition, message: str = "") -> None:
    """As evaluation does it."""
    now = datetime.now(UTC)
    at = condition.created_at.replace(microsecond=0)
    at = at.fromtimestamp(int(at.timestamp()) // 10 * 10, UTC)
    reading = Reading(97.0, is_over=True, is_clear=False, severity=condition.spec.severity, message=message)
    after, transition = advance(first(at), condition.spec.policy, reading, at)
    move = Move(WEB, first(at), after, transition, at)
    judged = Judged([condition], at, at + timedelta(seconds=10), 10, [(condition, move)])
    statuses.record(site.control, condition.account_id, [judged], now)


def send(site: Site, account_id: AccountId, values: list[tuple[float, float]], node: str = "web-1") -> None:
    found = [{"node": node, "ts": ts, "metrics": {"cpu.busy_percent": value}} for ts, value in values]
    body = {"account": str(account_id), "batch": uuid4().hex, "snapshots": found}
    clickhouse = ClickHouse(site.settings.clickhouse_url.get_secret_value())
    samples.insert(clickhouse, msgspec.json.encode(body), uuid4().hex)
    clickhouse.close()


def test_without_conditions_the_page_says_how_to_begin(browser: httpx.Client) -> None:
    page = browser.get("/conditions").text
    assert "Tell me when a node is offline" in page
    made = browser.post("/conditions/ready")
    assert made.status_code == 303
    assert "a node is offline" in browser.get(made.headers["location"]).text


def test_a_form_makes_a_condition_and_shows_it_again(site: Site, home: Tenant, browser: httpx.Client) -> None:
    made = browser.post("/conditions/new", data=FORM)
    assert made.status_code == 303
    (condition,) = conditions.list_for(site.control, home.account_id)
    rule = condition.spec.rule
    assert isinstance(rule, MetricRule)
    assert (rule.query.match, rule.query.by, rule.query.across) == (("node=~web-.*", "env!=test"), ("node",), "max")
    assert (rule.threshold, rule.clear, condition.spec.hold_s) == (90, 80, 60)
    assert condition.spec.capture
    edit = browser.get(f"/conditions/{condition.id}/edit").text
    for text in ("cpu.busy_percent", "node=~web-.*", 'value="90"', 'value="80"', "team=web", "https://wiki/cpu"):
        assert text in edit
    assert browser.post(f"/conditions/{condition.id}/edit", data=FORM).status_code == 303
    assert conditions.find(site.control, home.account_id, condition.id) == condition


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threshold": ""}, "Say the limit as a number"),
        ({"threshold": "many"}, "is no number"),
        ({"name": " "}, "Give it a name"),
        ({"metric": "cpu busy"}, "cpu busy"),
        ({"match": "node"}, "no matcher"),
        ({"labels": "team"}, "team=web"),
        ({"hold_s": "soon"}, "no whole number"),
        ({"kind": "magic"}, "A condition is about"),
    ],
)
def test_what_cannot_be_made_is_said_above_the_form(browser: httpx.Client, change: dict[str, str], told: str) -> None:
    answer = browser.post("/conditions/new", data=FORM | change)
    assert answer.status_code == 422
    assert told in answer.text.replace("&#39;", "'")
    assert "https://wiki/cpu" in answer.text


def test_a_graph_becomes_a_form(browser: httpx.Client) -> None:
    page = browser.get(
        "/conditions/new?A=net.in&A.match=device!=lo&A.over=rate&A.by=node,device&threshold=80:high"
    ).text
    assert 'value="net.in"' in page
    assert "device!=lo" in page
    assert 'value="node, device"' in page
    assert 'value="80"' in page
    assert '<option value="rate" selected>' in page


def test_what_fires_comes_first_with_its_value_and_can_be_acknowledged(
    site: Site, home: Tenant, browser: httpx.Client
) -> None:
    condition = a_condition(site, home)
    fire(site, condition)
    page = browser.get("/conditions").text
    assert "1 not ok" in page
    assert "97.0%" in page
    done = browser.post(f"/conditions/{condition.id}/acknowledge", data={"group": WEB.sha256, "note": "on it"})
    assert done.status_code == 303
    assert f"{home.email.partition('@')[0]}" in browser.get("/conditions").text
    assert "“on it”" in browser.get(f"/conditions/{condition.id}").text


def test_the_part_that_changes_is_asked_for_by_its_tag(site: Site, home: Tenant, browser: httpx.Client) -> None:
    condition = a_condition(site, home)
    first_look = browser.get("/conditions/rows")
    tag = first_look.headers["etag"]
    assert "All is ok" in first_look.text
    fire(site, condition)
    changed = browser.get("/conditions/rows", headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert "1 not ok" in changed.text


def test_its_page_tells_what_happened_and_why(site: Site, home: Tenant, browser: httpx.Client) -> None:
    condition = a_condition(site, home)
    fire(site, condition)
    page = browser.get(f"/conditions/{condition.id}").text
    assert "web-1 fires" in page
    why = re.search(r'href="(/conditions/[^"]+/why\?[^"]+)">Why\?', page)
    assert why
    told = browser.get(why[1].replace("&amp;", "&")).text
    for text in ("firing with 97.0%", "average of cpu.busy_percent over 1 min is above 90", "no channel to tell"):
        assert text in told
    assert browser.get(f"/conditions/{condition.id}/why?group={WEB.sha256}&version=9").status_code == 404


def test_why_names_the_silence_that_held_it_and_each_try(site: Site, home: Tenant, browser: httpx.Client) -> None:
    house, now = House(site.control, home.account_id, site.settings), datetime.now(UTC)
    house.webhook("https://hooks.example.org/", name="on call")
    quiet = silences.Draft((), now, now + timedelta(hours=1), note="upgrade of the rack")
    silences.create(site.control, home.account_id, quiet, now, actor=f"user/{uuid4()}")
    condition = a_condition(site, home)
    fire(site, condition)
    address = f"/conditions/{condition.id}/why?group={WEB.sha256}&version=1"
    assert "<b>on call</b>: owed, silenced: upgrade of the rack" in browser.get(address).text
    later = now + timedelta(hours=1, seconds=1)
    claimed = None
    while claimed is None or claimed.account_id != home.account_id:  # other tests have left some
        claimed = outbox.claim(site.control, later, mails_per_hour=10)
        assert claimed
    outcome = Outcome(later, 502, 31, "answered 502")
    outcomes.record(site.control, claimed, outcome, later, 0.5, tells_owners=False)
    outcomes.record(site.control, claimed, Outcome(later, 204, 12), later, 0.5, tells_owners=False)
    told = browser.get(address).text
    assert "<b>on call</b>: sent; held back: silenced: upgrade of the rack, until " in told
    assert "answered 502" in told and "answered 204" in told
    (row,) = house.rows()
    assert "<dt>Held back</dt><dd>silenced: upgrade of the rack" in browser.get(f"/deliveries/{row.id}").text


def test_pausing_and_deleting_end_what_it_said(site: Site, home: Tenant, browser: httpx.Client) -> None:
    condition = a_condition(site, home)
    fire(site, condition)
    assert browser.post(f"/conditions/{condition.id}/switch").status_code == 303
    assert "paused" in browser.get("/conditions").text
    assert statuses.list_for(site.control, home.account_id) == []
    assert browser.post(f"/conditions/{condition.id}/switch?on=1").status_code == 303
    assert browser.post(f"/conditions/{condition.id}/delete").status_code == 303
    assert conditions.list_for(site.control, home.account_id) == []
    assert browser.get(f"/conditions/{condition.id}").status_code == 404


def test_hostile_texts_stay_texts(site: Site, home: Tenant, browser: httpx.Client) -> None:
    condition = a_condition(site, home, HOSTILE[:100], msgspec.structs.replace(CPU, message=HOSTILE))
    fire(site, condition, HOSTILE)
    for address in ("/conditions", f"/conditions/{condition.id}", f"/conditions/{condition.id}/edit"):
        assert "<img src=x" not in browser.get(address).text


def test_a_preview_says_what_it_gives_now(site: Site, home: Tenant, browser: httpx.Client) -> None:
    now_s = time.time()
    send(site, home.account_id, [(now_s - back, 95.0) for back in range(0, 70, 5)])
    send(site, home.account_id, [(now_s - back, 15.0) for back in range(0, 70, 5)], "web-2")
    found = browser.post("/conditions/preview", data=FORM).json()
    assert found["sentence"].startswith(
        "average of cpu.busy_percent over 1 min where node=~web-.*, env!=test is above 90"
    )
    assert found["groups"] == [
        {"group": "web-1", "value": "95.0%", "is_over": True},
        {"group": "web-2", "value": "15.0%", "is_over": False},
    ]
    assert [limit["value"] for limit in found["graph"]["thresholds"]] == [90, 80]
    without = browser.post("/conditions/preview", data=FORM | {"threshold": ""}).json()
    assert (without["sentence"], without["graph"]["thresholds"], without["over"]) == (None, [], None)


def test_a_backtest_says_how_many_notices_it_would_have_sent(site: Site, home: Tenant, browser: httpx.Client) -> None:
    """Three busy stretches of 10 minutes, a day apart, and one of 2 minutes; the hold takes a minute of each."""
    start_s = time.time() // 60 * 60 - 5 * 86_400
    busy = {(day, minute) for day in range(3) for minute in range(10)} | {(3, minute) for minute in range(2)}
    values = [
        (start_s + day * 86_400 + minute * 60 + 5, 95.0 if (day, minute) in busy else 20.0)
        for day in range(4)
        for minute in range(20)
    ]
    send(site, home.account_id, values)
    found = browser.post("/conditions/backtest", data=FORM).json()
    assert found["notices"] == 4
    assert [one["lasted"] for one in found["incidents"]] == ["1m", "9m", "9m", "9m"]
    assert {one["worst"] for one in found["incidents"]} == {"95.0%"}
    by_limit = {one["threshold"]: one["notices"] for one in found["thresholds"]}
    assert by_limit[90] == 4
    assert by_limit[95] == 0
    longer = browser.post("/conditions/backtest", data=FORM | {"hold_s": "300"}).json()
    assert longer["notices"] == 3


def test_overlays_tell_when_it_was_not_ok(site: Site, home: Tenant, browser: httpx.Client) -> None:
    condition = a_condition(site, home)
    fire(site, condition)
    found = browser.get("/conditions/overlay.json?metric=cpu.busy_percent&node=web-1").json()["periods"]
    assert [(one["state"], one["group"], one["severity"]) for one in found] == [("firing", "web-1", "critical")]
    assert browser.get("/conditions/overlay.json?metric=other").json()["periods"] == []
    assert browser.get("/conditions/overlay.json?node=db-1").json()["periods"] == []
    later = browser.get("/conditions/overlay.json?from=now-1s").json()["periods"]
    assert [one["state"] for one in later] == ["firing"]


def test_graphs_of_several_nodes_are_told_when_it_was_not_ok(site: Site, home: Tenant, browser: httpx.Client) -> None:
    fire(site, a_condition(site, home))
    metrics = ["cpu.busy_percent"]
    for nodes in (["web-1", "db-1"], []):
        told = browser.post("/api/v1/overlay", json={"nodes": nodes, "metrics": metrics}).json()["conditions"]
        assert [(one["state"], one["node"], one["metrics"]) for one in told] == [("firing", "web-1", metrics)]
    for other in ({"nodes": ["db-1"], "metrics": metrics}, {"nodes": ["web-1"], "metrics": ["other"]}, {}):
        assert browser.post("/api/v1/overlay", json=other).json()["conditions"] == []


def test_nothing_of_another_account_is_shown(site: Site, home: Tenant) -> None:
    condition = a_condition(site, home, "canary condition")
    fire(site, condition)
    stranger = new_tenant(site, f"other-{uuid4().hex[:8]}")
    with site.client(stranger.session, **HTML) as client:
        answers = [
            client.get("/conditions"),
            client.get("/conditions/rows"),
            client.get(f"/conditions/{condition.id}"),
            client.get(f"/conditions/{condition.id}/edit"),
            client.get(f"/conditions/{condition.id}/why?group={WEB.sha256}&version=1"),
            client.get("/conditions/overlay.json"),
            client.post(f"/conditions/{condition.id}/acknowledge", data={"group": WEB.sha256}),
            client.post(f"/conditions/{condition.id}/delete"),
            client.post("/conditions/preview", data=FORM),
            client.post("/conditions/backtest", data=FORM),
        ]
    assert not any("canary" in answer.text or "web-1" in answer.text for answer in answers)
    assert len(statuses.list_for(site.control, home.account_id)) == 1


def test_a_condition_on_nodes_has_no_graph(browser: httpx.Client) -> None:
    made = browser.post("/conditions/new", data=FORM | {"kind": "nodes", "match": "env=prod", "silent": "late"})
    page = browser.get(made.headers["location"]).text
    assert "a node where env=prod is late or offline" in page
    assert "data-graph" not in page
    refused = browser.post("/conditions/backtest", data={"kind": "nodes"}, headers={"accept": "application/json"})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("Only conditions on a metric")
