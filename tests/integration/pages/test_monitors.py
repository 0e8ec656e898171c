"""The pages of monitors: written, tried, pushed, watched, taken back; by forms alone, and with what scripts ask for."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
import redis

from domain.accounts import Role
from domain.nodes import Said
from domain.rollouts import Move, Stage
from schema import keys, monitors, nodes
from schema.monitors import Monitor
from tests.integration.pages.company import Company
from tests.integration.pages.site import WITHIN_S, Site

SCRIPT = """\
gauge('room', 100 - series('disk.used_percent')[1].value)
status('room', 'ok', 'plenty')
log('<b>seen</b>')
"""
FORM: dict[str, object] = {
    "name": "disk",
    "script": SCRIPT,
    "match": "env=prod",
    "capability": [],
}


class Desk:
    """An account with two nodes, one of which allows monitors, and somebody who writes them."""

    def __init__(self, site: Site) -> None:
        self.company = Company.found(site)
        self.site = site
        self.account = self.company.tenant.account_id
        said = {
            "web-1": Said("i1", {"env": "prod"}, {"version": "1", "monitors": "http"}),
            "web-2": Said("i2", {"env": "prod"}, {"version": "1"}),
            "test-1": Said("i3", {"env": "test"}, {"monitors": ""}),
        }
        nodes.meet(site.control, self.account, said, datetime.now(UTC))
        self.browser = self.company.browser(Role.ADMIN)

    def post(self, path: str, **changed: object) -> httpx.Response:
        return self.browser.post(path, data={**FORM, **changed})

    def part(self, path: str, **changed: object) -> str:
        answer = self.browser.post(path, data={**FORM, **changed}, headers={"x-part": "1"})
        assert answer.status_code == 200 and "<html" not in answer.text, answer.text[:500]
        return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())

    def see(self, path: str) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    @property
    def monitor(self) -> Monitor:
        return monitors.find(self.site.control, self.account, "disk")


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    made = Desk(site)
    yield made
    made.browser.close()


def test_before_there_is_one_the_list_teaches(desk: Desk) -> None:
    seen = desk.see("/monitors")
    assert "Measure what the agent does not" in seen and "/monitors/new?start=certificate-expiry" in seen
    viewer = desk.company.get(Role.VIEWER, "/monitors").text
    assert "Ask an owner or admin" in viewer and "/monitors/new" not in viewer


@pytest.mark.parametrize("start", ["empty", "disk-almost-full", "log-lines", "command", "no-such-one"])
def test_each_start_fills_the_editor(desk: Desk, start: str) -> None:
    seen = desk.see(f"/monitors/new?start={start}")
    assert '<textarea name="script"' in seen and "To call" in seen


def test_one_is_written_seen_and_written_anew(desk: Desk) -> None:
    made = desk.post("/monitors", parameters='most=92\nname="5"\nquick=true', labels="team=web", note="first")
    assert (made.status_code, made.headers["location"]) == (303, "/monitors/disk?said=saved")
    assert desk.monitor.spec.parameters == {"most": 92, "name": "5", "quick": True}
    assert (desk.monitor.spec.labels, desk.monitor.target.match, desk.monitor.stage) == (
        {"team": "web"},
        "env=prod",
        Stage.NONE,
    )
    seen = desk.see("/monitors/disk?said=saved")
    assert "No node runs this version until it is pushed" in seen and "Push version 1" in seen
    editor = desk.see("/monitors/disk/edit")
    assert "name=&#34;5&#34;" in editor and 'name="head" value="1"' in editor
    saved = desk.post("/monitors/disk/edit", head="1", interval_s="30", note="quicker")
    assert saved.headers["location"] == "/monitors/disk?said=saved" and desk.monitor.head == 2
    changes = desk.see("/monitors/disk/versions/2")
    assert "every 30 s" in changes and "every 60 s" in changes and "“quicker”" in changes
    assert "unchanged" in desk.post("/monitors/disk/edit", head="2", interval_s="30").headers["location"]


def test_who_was_slower_is_told_and_loses_nothing(desk: Desk) -> None:
    desk.post("/monitors")
    desk.post("/monitors/disk/edit", head="1", interval_s="30")
    late = desk.post("/monitors/disk/edit", head="1", script="log('mine')")
    assert late.status_code == 409 and "saved version 2" in late.text and "log(&#39;mine&#39;)" in late.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"script": "log('a'\nlog('b')"}, "Line 2 of the script"),
        ({"script": ""}, "The script is empty"),
        ({"name": "Big Disk"}, "small letters"),
        ({"name": "new"}, "cannot be called new"),
        ({"interval_s": "soon"}, "The interval is a whole number"),
        ({"interval_s": "1"}, "The interval is 5 to"),
        ({"parameters": "no value"}, "Parameters, line 1: lines are like name: number = 1"),
        ({"parameters": "most: number(0..9) = 10"}, "most is a number from 0 to 9, not 10"),
        ({"parameters": "most: number(0..9) = 1", "p.most": "10"}, "most is a number from 0 to 9, not 10"),
        ({"match": "env=~("}, "no pattern"),
        ({"capability": ["root"]}, "There is no capability"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(desk: Desk, changed: dict[str, object], said: str) -> None:
    answer = desk.post("/monitors", **{"note": "kept <b>", **changed})
    assert answer.status_code == 422 and said in answer.text and "kept &lt;b&gt;" in answer.text
    with pytest.raises(Exception, match="no monitor"):
        assert desk.monitor


def test_parameters_are_declared_and_set(desk: Desk) -> None:
    lines = "most: number(0..100) = 90\nstate: choice(warning, critical) = critical\nstrict: boolean = true\nplain=5"
    desk.post("/monitors", parameters=lines, **{"p.most": "80", "p.state": "", "p.strict": "false"})
    assert desk.monitor.spec.parameters == {"most": 80, "strict": False, "plain": 5}
    assert desk.monitor.spec.told == {"most": 80, "state": "critical", "strict": False, "plain": 5}
    editor = desk.see("/monitors/disk/edit")
    assert 'name="p.most" value="80" placeholder="90" min="0.0" max="100.0"' in editor
    assert '<option value="">critical (default)</option>' in editor
    assert '<option value="false" selected>false</option>' in editor
    desk.post("/monitors/disk/edit", head="1", parameters=lines.replace("= 90", "= 95"), **{"p.strict": "false"})
    assert desk.monitor.spec.told["most"] == 95, "what is not set follows its default"
    changes = desk.see("/monitors/disk/versions/2")
    assert "parameter most: number(0..100) = 95" in changes and "set most = 80" in changes


def test_fields_are_offered_as_one_declares(desk: Desk) -> None:
    asked = desk.browser.post("/monitors/parameters", data={"parameters": "a: number(0..5) = 1", "p.a": "<6>"}).text
    assert 'name="p.a" value="&lt;6&gt;"' in asked and "Parameter a is a number, not" in asked
    wrong = desk.part("/monitors/parameters", parameters="a: number = 1\nb: integer = 2")
    assert wrong.startswith("Parameters, line 2: Parameter &#39;b&#39;: there is no type &#39;integer&#39;")


def test_errors_are_told_as_one_types(desk: Desk) -> None:
    found = desk.post("/monitors/check", script="local a = 1\nif a then\nlog(a)").json()["problems"]
    assert found[0]["line"] == 3 and "'end' expected" in found[0]["message"]
    assert desk.post("/monitors/check", script="local a = 1").json() == {"problems": []}


def test_the_target_is_counted_as_one_types(desk: Desk) -> None:
    assert desk.part("/monitors/target").startswith("2 nodes now, 2 online, 1 would run it. web-1 web-2")
    assert "0 would run it" in desk.part("/monitors/target", capability=["exec"])
    assert "3 nodes" in desk.part("/monitors/target", match="*")
    assert "Not there yet: web-9" in desk.part("/monitors/target", match="", nodes="web-9, web-1")
    assert "No node yet" in desk.part("/monitors/target", match="")
    assert "no pattern" in desk.part("/monitors/target", match="env=~(")


def record_disk(desk: Desk, used: float) -> None:
    with desk.site.client(authorization=f"Bearer {desk.company.tenant.key}") as agent:
        snapshot = {"node": "web-1", "metrics": {'disk.used_percent{mount="/"}': used}}
        assert agent.post("/api/v1/snapshots", json=snapshot).status_code == 202
        deadline_s = time.monotonic() + WITHIN_S
        while not agent.get("/api/v1/metrics", params={"node": "web-1"}).json()["series"]:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


def test_a_dry_run_is_on_what_is_recorded(desk: Desk) -> None:
    record_disk(desk, 58.5)
    found = desk.part("/monitors/dry-run", node="web-1")
    assert "It ran well on what is recorded of web-1" in found and "room 41.5" in found
    assert "2 new series: 1 on each of 2 nodes" in found and "room ok: plenty" in found
    assert "&lt;b&gt;seen&lt;/b&gt;" in found
    wrong = desk.part("/monitors/dry-run", node="web-1", script="local a\nlog(a.b)")
    assert "It failed" in wrong and "Line 2 : attempt" in wrong and "nil value" in wrong
    assert "It took too long" in desk.part("/monitors/dry-run", node="web-1", script="while true do end", cpu_ms="100")
    reaches = desk.part(
        "/monitors/dry-run", node="web-1", script="log(http.get('http://127.0.0.1/'))", capability=["http"]
    )
    assert "which a dry run does not" in reaches
    assert "no node web-9" in desk.part("/monitors/dry-run", node="web-9")
    whole = desk.post("/monitors/dry-run", node="web-1")
    assert whole.status_code == 200 and "It ran well" in whole.text and "<textarea" in whole.text


def test_a_trial_is_one_run_on_the_node(desk: Desk) -> None:
    assert "does not allow it" in desk.part("/monitors/trial", node="web-2")
    begun = desk.browser.post("/monitors/trial", data={**FORM, "node": "web-1"}, headers={"x-part": "1"}).text
    poll = re.search(r'data-poll="([^"]+)"', begun)
    assert poll and "Waiting for" in begun
    address = poll[1].replace("&amp;", "&")
    with desk.site.client(authorization=f"Bearer {desk.company.tenant.key}") as agent:
        (order,) = agent.post("/api/v1/ping", json={"node": "web-1", "monitors": ""}).json()["commands"]
        assert order["kind"] == "trial"
        (tried,) = order["payload"]["bundle"]["monitors"]
        assert tried["script"] == FORM["script"]
        assert "runs it now" in desk.see(address)
        run = {
            "id": tried["id"],
            "version": 0,
            "state": "ok",
            "at": time.time(),
            "took_ms": 3.2,
            "trial": order["id"],
            "values": [{"name": "room", "value": 41.5, "kind": "gauge", "labels": {}}],
        }
        assert agent.post("/api/v1/monitors/runs", params={"node": "web-1"}, json=[run]).status_code == 202
    found = desk.see(address)
    assert "It ran well" in found and "41.5" in found and "2 new series" in found
    assert desk.browser.get(address.replace("command=", "command=x")).status_code == 404


def test_one_is_pushed_paused_resumed_and_removed(desk: Desk) -> None:
    assert desk.post("/monitors", act="push").headers["location"] == "/monitors/disk?said=pushed"
    assert (desk.monitor.stage, desk.monitor.pushed) == (Stage.CANARY, 1)
    state = desk.see("/monitors/disk?part=state")
    assert "<html" not in state and "It waits for a node" in state and "no monitors" in state
    assert desk.post("/monitors/disk/pause").status_code == 303 and desk.monitor.is_paused
    assert "no node runs it" in desk.see("/monitors/disk")
    assert desk.post("/monitors/disk/resume").status_code == 303 and not desk.monitor.is_paused
    assert desk.post("/monitors/disk/push", version="7").status_code == 404
    assert desk.post("/monitors/disk/remove").headers["location"] == "/monitors?said=removed"
    assert desk.browser.get("/monitors/disk").status_code == 404


def test_a_halted_version_says_why_and_what_runs_instead(desk: Desk) -> None:
    desk.post("/monitors", act="push")
    control, now = desk.site.control, datetime.now(UTC)
    for stage in (Stage.SHARE, Stage.ALL, Stage.DONE):
        assert monitors.move(control, desk.monitor, Move(stage), now)
    desk.post("/monitors/disk/edit", head="1", script="log(nothing)", act="push")
    assert monitors.move(control, desk.monitor, Move(Stage.HALTED, reason="web-1: line 1: <i>nil</i>"), now)
    seen = desk.see("/monitors/disk")
    assert "Version 2 was halted" in seen and "web-1: line 1: &lt;i&gt;nil&lt;/i&gt;" in seen
    assert "All nodes run version 1" in seen and "v2 halted" in desk.see("/monitors")


def test_how_each_node_does(desk: Desk) -> None:
    desk.post("/monitors", act="push", match="*")
    control, now = desk.site.control, datetime.now(UTC)
    for stage in (Stage.SHARE, Stage.ALL, Stage.DONE):
        assert monitors.move(control, desk.monitor, Move(stage), now)
    run = {"id": str(desk.monitor.id), "version": 1, "at": time.time(), "took_ms": 12, "samples": 3}
    failed = {**run, "state": "failed", "message": "no <df>", "line": 4, "log": ["before it failed"]}
    well = {**run, "state": "ok", "statuses": [{"name": "room", "state": "warning", "message": "getting full"}]}
    with desk.site.client(authorization=f"Bearer {desk.company.tenant.key}") as agent:
        agent.post("/api/v1/monitors/runs", params={"node": "web-1"}, json=[failed])
        agent.post("/api/v1/monitors/runs", params={"node": "test-1"}, json=[well])
    state = desk.see("/monitors/disk?part=state")
    rows = re.findall(r'data-node="([^"]+)"', state)
    assert rows == ["web-1", "web-2", "test-1"], "what needs a look comes first"
    assert "line 4: no &lt;df&gt;" in state and "getting full" in state and "before it failed" in state
    assert "was started without --allow-monitors" in state


def ran(desk: Desk, node: str, *runs: dict[str, object]) -> None:
    """A node reports these runs, some milliseconds apart, the last of them now."""
    about = {"id": str(desk.monitor.id), "version": 1, "took_ms": 12, "samples": 3, "state": "ok"}
    now_s = time.time()
    told = [{**about, "at": now_s - (len(runs) - number) / 500, **run} for number, run in enumerate(runs, 1)]
    with desk.site.client(authorization=f"Bearer {desk.company.tenant.key}") as agent:
        answer = agent.post("/api/v1/monitors/runs", params={"node": node}, json=told)
        assert answer.status_code == 202


def until_seen(desk: Desk, path: str, words: str) -> str:
    give_up_s = time.monotonic() + WITHIN_S
    while words not in (seen := desk.see(path)):
        assert time.monotonic() < give_up_s, seen
        time.sleep(0.1)
    return seen


def test_last_runs_outlive_a_redis_that_forgets(desk: Desk) -> None:
    desk.post("/monitors", act="push", match="web-1")
    for stage in (Stage.SHARE, Stage.ALL, Stage.DONE):
        assert monitors.move(desk.site.control, desk.monitor, Move(stage), datetime.now(UTC))
    warns = {"statuses": [{"name": "room", "state": "warning", "message": "getting full"}]}
    ran(desk, "web-1", {}, {}, {"state": "failed", "message": "no <df>", "line": 4}, warns)
    before = until_seen(desk, "/monitors/disk/history", "getting full")
    with redis.Redis.from_url(desk.site.settings.redis_url.get_secret_value()) as client:
        client.delete(keys.monitor_runs(desk.account, str(desk.monitor.id)))
    state = desk.see("/monitors/disk?part=state")
    assert "getting full" in state and 'data-run="ok"' in state and "runs well" in state
    assert "1 of 1" in (" ".join(re.sub(r"<[^>]+>", " ", desk.see("/monitors")).split())) or "runs well" in state
    assert before.count("<tr>") == 4, "a heading, and a run for each change; the second one was like the first"
    assert "line 4: no &lt;df&gt;" in before
    ran(desk, "web-1", {})
    assert "getting full" not in desk.see("/monitors/disk?part=state"), "what comes counts"


def test_the_history_of_runs_goes_back_page_by_page(desk: Desk) -> None:
    desk.post("/monitors", act="push", match="*")
    for half in range(2):
        ran(desk, "web-1", *({"state": "failed", "message": f"try {half * 20 + number}"} for number in range(20)))
        time.sleep(0.1)
    ran(desk, "web-2", {"message": "of another node"})
    newest = until_seen(desk, "/monitors/disk/history", "of another node")
    assert "try 39" in newest
    alone = desk.see("/monitors/disk/history?node=web-2")
    assert "of another node" in alone and "try 39" not in alone
    older = re.search(r'href="([^"]+)" rel="next"', newest)
    assert older
    before = desk.see(older[1].replace("&amp;", "&"))
    assert "of another node" not in before and "Newest" in before
    assert "There is nothing older" in desk.see("/monitors/disk/history?before_ms=1")
    assert desk.browser.get("/monitors/disk/history?before_ms=99999999999999999").status_code == 200
    assert desk.browser.get("/monitors/none/history").status_code == 404
