"""A node's page beside its graphs: what is odd about it, its history, its removal; and the same for programs."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import redis
from sqlalchemy import select

from domain.accounts import Role
from domain.events import FOLDS
from domain.nodes import NodeState, Said
from schema import api_keys, heartbeats, node_events, nodes
from schema.control import tables
from schema.control.engine import reading
from schema.nodes import NodeRow
from tests.integration.pages.site import HTML, Site, Tenant, new_member, new_tenant

OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def owner(site: Site) -> Tenant:
    return new_tenant(site, "keeper")


@pytest.fixture
def browser(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(owner.session, **HTML) as client:
        yield client


@pytest.fixture
def agent(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(authorization=f"Bearer {owner.key}") as client:
        yield client


def before(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def with_a_past(site: Site, tenant: Tenant, name: str) -> NodeRow:
    """Registered an hour ago, late and offline from 30 minutes ago on, back 10 minutes ago, away for one since then."""
    (node,) = nodes.meet(site.control, tenant.account_id, {name: Said("i1", {"env": "prod"}, {"os": "x"})}, before(60))
    for minutes, state, cause in [
        (30, NodeState.LATE, "silent for 30 s"),
        (29, NodeState.OFFLINE, "silent for 100 s"),
        (10, NodeState.ONLINE, "contact"),
    ]:
        nodes.transition(
            site.control,
            tenant.account_id,
            node.id,
            state,
            cause=cause,
            now=before(minutes),
            agent_clock=before(minutes + 4),
        )
    with site.control.begin() as conn:
        nodes.note_away_in(conn, tenant.account_id, node.id, before(4), reason="restart", now=before(5))
        nodes.note_back_in(conn, tenant.account_id, node.id, now=before(4))
    return node


def told(page: str) -> list[tuple[str, ...]]:
    """Title, detail and duration of each row of a history."""
    found = []
    for row in re.findall(r"<li>(.*?)</li>", page, re.DOTALL):
        spans = re.findall(r'<span class="(?:what|why|lasted)">(.*?)</span>\n', row, re.DOTALL)
        found.append(tuple(" ".join(re.sub(r"<[^>]+>", "", span).split()) for span in spans))
    return found


def test_the_history_tells_what_happened_and_how_long_it_lasted(
    site: Site, owner: Tenant, browser: httpx.Client
) -> None:
    with_a_past(site, owner, "past/1")
    page = browser.get("/nodes/past/1").text
    assert told(page) == [
        ("Back", "heard again", "for 4m so far"),
        ("Said goodbye", "restart, back within 1m", "for 1m"),
        ("Online again", "heard after it was offline", "for 5m"),
        ("Offline", "silent for 100 s", "for 19m"),
        ("Late", "silent for 30 s", "for 1m"),
        ("Registered", "by its first contact", "for 30m"),
    ]
    assert page.count("its clock") == 3


def test_a_long_history_comes_in_pages(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    (node,) = nodes.meet(site.control, owner.account_id, {"restless": Said()}, before(200))
    for n in range(80):
        state = (NodeState.LATE, NodeState.ONLINE)[n % 2]
        nodes.transition(site.control, owner.account_id, node.id, state, cause=f"n{n}", now=before(100 - n))
    pages, address = [], "/nodes/restless"
    while address:
        page = browser.get(address).text
        pages.append(told(page))
        older = re.search(r'data-older href="([^"#]+)', page)
        address = f"/nodes/restless{older[1]}" if older else ""
    assert [len(rows) for rows in pages] == [30, 30, 21]
    lasted = [row[2] for rows in pages for row in rows]
    assert lasted[1:-1] == ["for 1m"] * 79, "also across the pages"
    assert pages[1] == told(browser.get("/nodes/restless", params={"part": "history", "older_than": 52}).text)


def test_every_event_of_a_node_has_words(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    """An unknown one is called by its type."""
    said = [Said("i1", {"a": "b"}), Said("i2", {"a": "c"}, is_ephemeral=True)]
    for minutes, one in zip((30, 15), said, strict=True):
        nodes.meet(site.control, owner.account_id, {"wordy": one}, before(minutes))
    titles = [row[0] for row in told(browser.get("/nodes/wordy").text)]
    assert titles == ["Became ephemeral", "Described itself", "Another installation", "Registered"]
    assert {kind for kind in FOLDS if kind.startswith("node_")} - set(_words()) == {"node_removed"}


def _words() -> list[str]:
    from dashboards.node_history import _WORDS

    return list(_WORDS)


def test_programs_get_events_and_the_periods_they_make(site: Site, owner: Tenant, agent: httpx.Client) -> None:
    with_a_past(site, owner, "past/2")
    answer = agent.get("/api/v1/nodes/past/2/events", params={"from": "now-2h"}).json()
    periods = [(one["standing"], round((one["to_s"] - one["from_s"]) / 60)) for one in answer["periods"]]
    assert periods == [("online", 30), ("late", 1), ("offline", 19), ("online", 5), ("away", 1), ("online", 4)]
    assert answer["online_share"] == pytest.approx(39 / 60, abs=0.01)
    assert [event["type"] for event in answer["events"]][:3] == ["node_registered", "node_late", "node_offline"]
    assert answer["events"][1]["payload"]["cause"] == "silent for 30 s"
    window = {"from": time.time() - 1_200, "to": time.time() - 900}
    inside = agent.get("/api/v1/nodes/past/2/events", params=window).json()
    assert (inside["events"], [one["standing"] for one in inside["periods"]]) == ([], ["offline"])
    assert inside["periods"][0]["to_s"] == pytest.approx(window["to"])


def test_more_events_than_are_told_are_cut_at_the_old_end(
    site: Site, owner: Tenant, agent: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_past(site, owner, "past/3")
    monkeypatch.setattr("api.node_events.EVENTS_MAX", 2)
    answer = agent.get("/api/v1/nodes/past/3/events", params={"from": "now-2h"}).json()
    assert answer["is_cut"]
    assert [event["type"] for event in answer["events"]] == ["node_away", "node_back"]
    assert [one["standing"] for one in answer["periods"]] == ["away", "online"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("from=x", 422), ("from=200&to=100", 422), ("from=-1e10&to=1e10", 200), ("from=now%2B1h&to=now", 422)],
)
def test_a_window_that_is_none_is_a_problem(
    site: Site, owner: Tenant, agent: httpx.Client, query: str, status: int
) -> None:
    nodes.meet(site.control, owner.account_id, {"asked": Said()}, before(1))
    answer = agent.get(f"/api/v1/nodes/asked/events?{query}")
    assert answer.status_code == status, answer.text


def test_events_are_for_those_who_may_read_and_of_their_own_nodes(site: Site, owner: Tenant, theirs: Tenant) -> None:
    nodes.meet(site.control, owner.account_id, {"mine": Said()}, before(1))
    writer = api_keys.create(site.control, owner.account_id, "agent", ["ingest"], datetime.now(UTC)).secret
    for key, status in ((owner.key, 200), (writer, 403), (theirs.key, 404), ("mtr_wrong", 401)):
        with site.client(authorization=f"Bearer {key}") as caller:
            assert caller.get("/api/v1/nodes/mine/events").status_code == status
    with site.client() as nobody:
        assert nobody.get("/api/v1/nodes/mine/events").status_code == 401
    with site.client(owner.session) as person:
        assert person.get("/api/v1/nodes/mine/events").status_code == 200


def test_two_agents_under_one_name_are_shown_with_what_to_do(browser: httpx.Client, agent: httpx.Client) -> None:
    for instance in ("ab12cd34e5", "cd34ef56a7", "ab12cd34e5"):
        agent.post("/api/v1/ping", json={"node": "twins", "instance": instance})
    notice = browser.get("/nodes/twins", params={"part": "notices"}).text
    assert "instances ab12cd34… and cd34ef56…, report as twins" in notice
    assert "--node NAME" in notice and "clone" not in notice


def test_a_cloned_machine_is_shown_with_what_to_do(browser: httpx.Client, agent: httpx.Client) -> None:
    for run in ("r1", "r2", "r1"):
        agent.post("/api/v1/ping", json={"node": "cloned", "instance": "ab12cd34e5", "run": run})
    notice = browser.get("/nodes/cloned", params={"part": "notices"}).text
    assert "one machine is a clone of the other" in notice
    assert "--node NAME" in notice and "state folder" in notice


@pytest.mark.parametrize(
    ("ahead_s", "says", "silent_about"),
    [
        (4, "", "clock"),
        (30, r"clock is (29|3\d)s ahead of", "NTP"),
        (240, "Samples more than 10m ahead are refused", "behind"),
        (-240, "behind the server", "refused"),
    ],
)
def test_a_wrong_clock_is_shown_and_a_very_wrong_one_is_warned_of(
    browser: httpx.Client, agent: httpx.Client, ahead_s: float, says: str, silent_about: str
) -> None:
    node = f"clock{ahead_s}"
    agent.post("/api/v1/ping", json={"node": node, "sent_at": time.time() + ahead_s + 0.5})
    notice = browser.get(f"/nodes/{node}", params={"part": "notices"}).text
    assert re.search(says, notice) and silent_about not in notice


def test_an_announced_return_is_shown_until_it_is_over(browser: httpx.Client, agent: httpx.Client) -> None:
    agent.post("/api/v1/ping", json={"node": "leaver"})
    goodbye = {"reason": "upgrade <b>", "back_within_s": 600}
    agent.post("/api/v1/ping", json={"node": "leaver", "goodbye": goodbye})
    notice = browser.get("/nodes/leaver", params={"part": "notices"}).text
    back_by = datetime.now(UTC) + timedelta(minutes=10)
    assert "said goodbye (upgrade &lt;b&gt;) and means to be back by" in notice
    assert abs(float(re.findall(r'data-at="([^"]+)"', notice)[0]) - back_by.timestamp()) < 30
    agent.post("/api/v1/ping", json={"node": "leaver"})
    assert "goodbye" not in browser.get("/nodes/leaver", params={"part": "notices"}).text


@pytest.mark.parametrize("name", ["gone", "stream", "rack/1 & <b>"])
def test_a_node_is_removed_and_new_when_its_agent_pings_again(
    site: Site, owner: Tenant, browser: httpx.Client, agent: httpx.Client, name: str, redis_url: str
) -> None:
    nodes.meet(site.control, owner.account_id, {name: Said(labels={"a": "b"})}, before(1))
    address = httpx.URL("/nodes/" + name.replace("&", "%26"))
    question = browser.get(address, params={"part": "remove"}).text
    assert "registers again with its next ping" in question and 'name="samples"' in question
    answer = browser.post(address, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/nodes")
    assert nodes.find(site.control, owner.account_id, name) is None
    with redis.Redis.from_url(redis_url) as client:
        assert heartbeats.read_contacts_sync(client, owner.account_id, [name]) == {}
    assert browser.get(address).status_code == 404
    assert _erasures(site, owner) == []


def test_a_node_is_removed_with_its_samples(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    (node,) = nodes.meet(site.control, owner.account_id, {"with-samples": Said()}, before(1))
    browser.post("/nodes/with-samples", headers=OURS, data={"samples": "true"})
    assert _erasures(site, owner) == ["with-samples"]
    with reading(site.control) as conn:
        of_node = select(tables.events.c.type, tables.events.c.actor).where(tables.events.c.stream == f"node/{node.id}")
        removed = conn.execute(of_node.order_by(tables.events.c.version.desc())).first()
    assert removed is not None
    assert removed.type == "node_removed" and removed.actor.startswith("user/")


def test_only_who_may_removes_nodes(site: Site, owner: Tenant, theirs: Tenant) -> None:
    nodes.meet(site.control, owner.account_id, {"kept": Said()}, before(1))
    viewer = new_member(site, owner, Role.VIEWER)
    with site.client(viewer, **HTML) as browser:
        assert "Remove this node" not in browser.get("/nodes/kept").text
        assert browser.get("/nodes/kept", params={"part": "remove"}).status_code == 403
        assert browser.post("/nodes/kept", headers=OURS).status_code == 403
    with site.client(theirs.session, **HTML) as stranger:
        assert stranger.post("/nodes/kept", headers=OURS).status_code == 404
    with site.client(owner.session, **HTML) as browser:
        assert browser.post("/nodes/kept", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert "Remove this node" in browser.get("/nodes/kept").text
    assert nodes.find(site.control, owner.account_id, "kept") is not None


def test_the_page_stays_bound_to_its_account(site: Site, owner: Tenant, theirs: Tenant) -> None:
    with_a_past(site, owner, "ours-alone")
    with site.client(theirs.session, **HTML) as stranger:
        for part in ("", "notices", "history", "groups"):
            assert stranger.get("/nodes/ours-alone", params={"part": part}).status_code == 404
    foreign = nodes.find(site.control, owner.account_id, "ours-alone")
    assert foreign is not None
    assert node_events.page(site.control, foreign, None, 10).events


def _erasures(site: Site, tenant: Tenant) -> list[str]:
    with reading(site.control) as conn:
        asked = select(tables.erasures.c.node).where(tables.erasures.c.account_id == tenant.account_id)
        return list(conn.scalars(asked))
