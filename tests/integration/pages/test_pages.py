"""What pages say, to whom, and what they say with it to the browser."""

import html
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from markupsafe import escape
from pydantic import SecretStr

from dashboards.headers import POLICY
from schema import nodes
from tests.integration.pages.site import HOSTILE, HTML, Site, Tenant, free_port, new_tenant, serving


def known_nodes(page: str) -> dict[str, dict[str, object]]:
    """What the rows of a page of nodes say."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r'<tr data-name="([^"]*)">(.*?)</tr>', body, re.DOTALL)
    return {
        html.unescape(name): {
            "state": re.findall(r'data-state="(\w+)"', row)[0],
            "labels": dict(re.findall(r'class="chip">([^ ]+) <b>([^<]*)</b>', row)),
            "contact_s": float(said) if (said := re.findall(r'data-ago="([^"]*)"', row)[0]) else None,
        }
        for name, row in rows
    }


LED = [
    ("/nodes", "/sign-in"),
    ("/nodes/rack/web-1?range=1h&x=%2F", "/sign-in?next=/nodes/rack/web-1%3Frange%3D1h%26x%3D%252F"),
    ("/nodes/nothing", "/sign-in?next=/nodes/nothing"),
    ("/nodes/stream", "/sign-in?next=/nodes/stream"),
    ("/settings/account", "/sign-in?next=/settings/account"),
    ("/help/agent", "/sign-in?next=/help/agent"),
]


@pytest.mark.parametrize(("path", "way_in"), LED, ids=[case[0] for case in LED])
def test_a_stranger_is_led_to_sign_in(stranger: httpx.Client, path: str, way_in: str) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, way_in)


def test_programs_without_a_session_get_a_problem(stranger: httpx.Client) -> None:
    answer = stranger.get("/nodes.json", headers={"accept": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_start_leads_to_the_nodes(browser: httpx.Client) -> None:
    answer = browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/nodes")


def test_nodes_of_another_account_are_not_there(site: Site, ours: Tenant, theirs: Tenant) -> None:
    with site.client(ours.session, **HTML) as browser:
        assert "canary" not in browser.get("/nodes").text
        assert "canary" not in browser.get("/nodes.json").text
        assert browser.get("/nodes/canary").status_code == 404
        assert browser.get("/nodes/canary", params={"part": "groups"}).status_code == 404
        assert browser.get("/nodes.json", params={"node": "canary"}).json()["nodes"] == []
    with site.client(theirs.session, **HTML) as browser:
        assert browser.get("/nodes/canary").status_code == 200
        assert "web-1" not in browser.get("/nodes").text


def test_the_nodes_page_knows_every_node(browser: httpx.Client) -> None:
    known = known_nodes(browser.get("/nodes").text)
    assert set(known) == {HOSTILE, "stream", "rack/web-1"}
    assert known["rack/web-1"]["labels"] == {"env": "prod"}
    assert known["rack/web-1"]["state"] == "online"
    assert known["rack/web-1"]["contact_s"] == pytest.approx(time.time(), abs=60)
    assert known["stream"]["contact_s"] is None


def test_a_node_page_has_a_graph_for_every_metric_in_order(browser: httpx.Client) -> None:
    page = browser.get("/nodes/rack/web-1").text
    assert re.findall(r'class="panel" data-metric="([^"]+)" data-unit="([^"]+)"', page) == [
        ("cpu.usage_percent", "percent"),
        ("load.1m", "count"),
    ]
    assert re.findall(r'class="name">([^<]*)</span><span class="value">([^<]*)<', page) == [
        ("total", "42.0%"),
        ("2", "2.0%"),
        ("10", "1.0%"),
        ("", ""),
    ]
    assert 'data-state="online">online' in page
    assert "<title>rack/web-1 · Metrist</title>" in page


def test_the_graphs_alone_can_be_asked_for(browser: httpx.Client) -> None:
    part = browser.get("/nodes/rack/web-1", params={"part": "groups"}).text
    assert part.count('class="panel"') == 2 and "<html" not in part


def test_a_node_without_samples_says_so(browser: httpx.Client) -> None:
    page = browser.get("/nodes/stream").text
    assert "No samples from stream yet" in page
    assert 'class="panel"' not in page


def test_an_unknown_node_is_a_page_with_a_way_on(browser: httpx.Client) -> None:
    answer = browser.get("/nodes/nothing-here")
    assert answer.status_code == 404
    assert "There is no node nothing-here" in answer.text and 'href="/nodes"' in answer.text


@pytest.mark.parametrize("path", ["/nodes", f"/nodes/{HOSTILE}", "/nodes/%3Cscript%3Ealert(1)%3C/script%3E"])
def test_hostile_names_stay_text(browser: httpx.Client, path: str) -> None:
    page = browser.get(path).text
    assert "<img src=x" not in page and "<script>alert" not in page
    assert "111111" not in page


def test_an_account_without_nodes_is_shown_how_to_get_one(site: Site) -> None:
    with site.client(new_tenant(site, "empty").session, **HTML) as browser:
        page = browser.get("/nodes").text
    assert '<section id="list" aria-labelledby="title" hidden>' in page
    assert f"curl {site.url}/api/v1/snapshots" in page and "YOUR_API_KEY" in page


def test_help_tells_the_same(site: Site, browser: httpx.Client) -> None:
    assert f"--server {site.url}" in browser.get("/help/agent").text


def test_pages_stay_up_while_samples_and_contacts_are_away(site: Site, tmp_path: Path) -> None:
    tenant = new_tenant(site, "away")
    nodes.register(site.control, tenant.account_id, "web-1", None, datetime.now(UTC))
    away = {
        "clickhouse_url": SecretStr("http://u:p@127.0.0.1:1/default"),
        "redis_url": SecretStr("redis://127.0.0.1:1"),
    }
    settings = site.settings.model_copy(update=away | {"port": free_port(), "spool_dir": tmp_path})
    lonely = Site(settings.base_url, site.app, settings, site.control)
    with serving(settings), lonely.client(tenant.session, **HTML) as browser:
        assert known_nodes(browser.get("/nodes").text)["web-1"]["contact_s"] is None
        assert "contacts" in browser.get("/nodes.json").json()["summary"]["away"]
        assert browser.get("/nodes/web-1").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nodes",
        "/nodes/rack/web-1",
        "/nodes/rack/web-1?part=remove",
        "/nodes/nothing",
        "/sign-in?token=x",
        "/help/agent",
    ],
)
def test_every_page_has_the_policy_and_nothing_inline(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "script-src 'self'" in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    markup = answer.text.replace(escape(HOSTILE), "")
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|javascript:", markup)
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", markup)
