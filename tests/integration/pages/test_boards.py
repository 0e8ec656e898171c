"""Dashboards over HTTP: made, saved, imported, shared; who may, and what a link lets its readers do."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from domain.accounts import Role
from schema import shares
from tests.integration.pages.company import OURS, Company
from tests.integration.pages.site import HTML, WITHIN_S, Site, Tenant, new_tenant

JSON = {"accept": "application/json"}
NOW_S = int(time.time())
QUERY = {"id": "A", "metric": "jobs.running", "match": ["node=$node"]}
PANEL = {"type": "graph", "id": "jobs", "x": 0, "y": 0, "w": 6, "h": 6, "title": "Jobs of $node"}
BOARD = {
    "format": "metrist/dashboard",
    "version": 1,
    "title": "Workers",
    "range": "3h",
    "variables": [{"name": "node", "label": "node", "value": "one"}],
    "panels": [
        PANEL | {"graph": {"queries": [QUERY]}},
        {"type": "text", "id": "about", "x": 6, "y": 0, "w": 6, "h": 6, "text": "<img src=x onerror=alert(1)>"},
    ],
}


@pytest.fixture(scope="module")
def tenant(site: Site) -> Tenant:
    """An account with two nodes, each with its own value."""
    found = new_tenant(site, "boards")
    snapshots = [
        {"node": node, "ts": ts, "metrics": {"jobs.running": value, f'queue.length{{queue="{node}-q"}}': value}}
        for node, value in (("one", 1), ("two", 2))
        for ts in range(NOW_S - 600, NOW_S, 10)
    ]
    with site.client(authorization=f"Bearer {found.key}") as agent:
        assert agent.post("/api/v1/snapshots", json=snapshots).status_code == 202
        deadline_s = time.monotonic() + WITHIN_S
        while len(agent.get("/api/v1/metrics").json()["series"]) < 4:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
    return found


@pytest.fixture
def owner(site: Site, tenant: Tenant) -> Iterator[httpx.Client]:
    with site.client(tenant.session, **HTML, **OURS) as client:
        yield client


def import_board(client: httpx.Client, board: dict[str, Any] = BOARD) -> str:
    """The id of a new dashboard."""
    answer = client.post("/dashboards/import", files={"file": ("board.json", json.dumps(board).encode())})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].rpartition("/")[2]


def ask(client: httpx.Client, address: str, **question: Any) -> httpx.Response:
    return client.post(address, json=question, headers=JSON)


def lines(answer: httpx.Response) -> dict[str, set[float]]:
    """Name of a line → its values."""
    assert answer.status_code == 200, answer.text
    return {line["name"]: {value for value in line["values"] if value is not None} for line in answer.json()["lines"]}


def told(page: str) -> dict[str, Any]:
    """What the page's script is told."""
    found = re.search(r'<script type="application/json" id="told">(.*?)</script>', page, re.DOTALL)
    assert found
    value: dict[str, Any] = json.loads(found[1])
    return value


def test_a_new_one_opens_for_editing(owner: httpx.Client) -> None:
    assert "Make an empty one" in owner.get("/dashboards").text
    answer = owner.post("/dashboards", data={"title": "  My   board "})
    place = urlsplit(answer.headers["location"])
    assert (answer.status_code, place.query) == (303, "edit=1")
    page = owner.get(place.path).text
    assert told(page)["document"] == BOARD | {"title": "My board", "range": "1h", "variables": [], "panels": []}
    assert "My board" in owner.get("/dashboards").text
    assert owner.post(f"{place.path}/delete").headers["location"] == "/dashboards?said=deleted"
    assert owner.get(place.path).status_code == 404


def test_a_title_that_is_none_is_refused_on_the_page(owner: httpx.Client) -> None:
    answer = owner.post("/dashboards", data={"title": " "})
    assert answer.status_code == 422 and "1 to 100 printable" in answer.text


def test_what_is_exported_is_imported_again(owner: httpx.Client) -> None:
    board_id = import_board(owner)
    exported = owner.get(f"/dashboards/{board_id}/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="workers.json"'
    copied = owner.post("/dashboards/import", data={"text": exported.text})
    again = copied.headers["location"].rpartition("/")[2]
    assert again != board_id
    assert owner.get(f"/dashboards/{again}/export").content == exported.content


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b'{"panels": []}', "no dashboard of Metrist"),
        (json.dumps(BOARD | {"version": 7}).encode(), "reads version 1"),
        (b" " * 200_000, "at most 131,072"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_reason(owner: httpx.Client, file: bytes, said: str) -> None:
    answer = owner.post("/dashboards/import", files={"file": ("x.json", file)})
    assert 400 <= answer.status_code < 500
    assert said in answer.text


def test_words_of_people_are_never_markup(owner: httpx.Client) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    page = owner.get(f"/dashboards/{import_board(owner, BOARD | {'title': hostile})}").text
    assert "<img" not in page
    assert told(page)["document"]["title"] == hostile


def test_a_copy_has_a_title_of_its_own(owner: httpx.Client) -> None:
    answer = owner.post(f"/dashboards/{import_board(owner)}/duplicate")
    assert told(owner.get(answer.headers["location"]).text)["document"] == BOARD_KEPT | {"title": "Workers (copy)"}


GRAPH_KEPT = {
    "queries": [QUERY | {"over": "avg", "by": None, "across": "avg", "top": None, "hidden": False}],
    "formulas": [],
    "shift": [],
    "kind": "lines",
    "log": False,
    "unit": None,
    "thresholds": [],
}
BOARD_KEPT = BOARD | {"panels": [PANEL | {"graph": GRAPH_KEPT}, BOARD["panels"][1] | {"title": ""}]}  # type: ignore[index]


def test_a_nodes_graphs_become_a_dashboard(owner: httpx.Client) -> None:
    answer = owner.post("/dashboards/from-node", data={"node": "one"})
    document = told(owner.get(answer.headers["location"]).text)["document"]
    assert document["title"] == "one"
    assert document["variables"] == [{"name": "node", "label": "node", "value": "one"}]
    assert [panel["graph"]["queries"][0]["metric"] for panel in document["panels"]] == ["jobs.running", "queue.length"]
    assert owner.post("/dashboards/from-node", data={"node": "nobody"}).status_code == 404


def test_saving_tells_the_next_revision_and_a_stale_one_is_refused(owner: httpx.Client, site: Site) -> None:
    board_id = import_board(owner)
    address = f"/api/v1/dashboards/{board_id}"
    saved = ask(owner, address, version=1, document=BOARD | {"title": "Mine"})
    assert saved.json() == {"version": 2, "title": "Mine"}
    stale = ask(owner, address, version=1, document=BOARD | {"title": "Theirs"})
    assert (stale.status_code, stale.json()["version"], stale.json()["saved_by"]) == (409, 2, "boards@example.org")
    assert "revision 2" in stale.json()["detail"]
    wrong = ask(owner, address, version=2, document=BOARD | {"panels": [PANEL, PANEL]})
    assert (wrong.status_code, "one id" in wrong.json()["detail"]) == (422, True)
    assert ask(owner, address, version=2).status_code == 422
    assert told(owner.get(f"/dashboards/{board_id}").text)["version"] == 2


def test_an_old_revision_is_shown_and_restored(owner: httpx.Client) -> None:
    board_id = import_board(owner)
    ask(owner, f"/api/v1/dashboards/{board_id}", version=1, document=BOARD | {"title": "Mine"})
    old = owner.get(f"/dashboards/{board_id}", params={"revision": 1}).text
    assert told(old)["document"]["title"] == "Workers" and "This is revision 1" in old
    listed = owner.get(f"/dashboards/{board_id}/revisions").text
    assert listed.count('<form method="post" action="/dashboards/') == 1
    form = {"revision": "1", "version": "2"}
    restored = owner.post(f"/dashboards/{board_id}/revisions", data=form)
    assert restored.headers["location"].endswith("?said=restored")
    now = told(owner.get(f"/dashboards/{board_id}").text)
    assert (now["version"], now["document"]["title"]) == (3, "Workers")
    assert owner.post(f"/dashboards/{board_id}/revisions", data=form).status_code == 409
    assert owner.get(f"/dashboards/{board_id}", params={"revision": 9}).status_code == 404


def test_a_revision_that_no_store_can_hold_is_refused(owner: httpx.Client) -> None:
    board_id = import_board(owner)
    address = f"/dashboards/{board_id}"
    assert owner.get(address, params={"revision": 2**31}).status_code == 422
    assert owner.post(f"{address}/revisions", data={"revision": 2**70, "version": 1}).status_code == 422
    assert ask(owner, f"/api/v1{address}/query", panel="jobs", revision=2**70).status_code == 422
    assert ask(owner, f"/api/v1{address}", version=2**70, document=BOARD).status_code == 422


def test_a_panel_shows_the_value_that_is_chosen(owner: httpx.Client) -> None:
    address = f"/api/v1/dashboards/{import_board(owner)}/query"
    assert lines(ask(owner, address, panel="jobs")) == {"one": {1}}
    assert lines(ask(owner, address, panel="jobs", values={"node": "two"})) == {"two": {2}}
    assert lines(ask(owner, address, panel="jobs", values={"node": ""})) == {"one": {1}, "two": {2}}
    assert lines(ask(owner, address, panel="jobs", values={"node": ".*"})) == {}
    assert ask(owner, address, panel="about").status_code == 404
    assert ask(owner, address, panel="jobs").headers["x-metrist-revision"] == "1"


def test_a_graph_that_is_being_edited_is_asked_for_as_it_stands(owner: httpx.Client) -> None:
    address = f"/api/v1/dashboards/{import_board(owner)}/query"
    graph = {"queries": [QUERY | {"match": ["node!=$n"], "by": [], "across": "sum"}]}
    assert list(lines(ask(owner, address, graph=graph, values={"n": "one"})).values()) == [{2}]
    assert ask(owner, address, graph={"queries": [{"id": "?", "metric": "x"}]}).status_code == 422


def test_a_key_that_reads_may_ask_for_panels_and_save_nothing(site: Site, owner: httpx.Client, tenant: Tenant) -> None:
    address = f"/api/v1/dashboards/{import_board(owner)}"
    with site.client(authorization=f"Bearer {tenant.key}") as program:
        assert lines(ask(program, f"{address}/query", panel="jobs")) == {"one": {1}}
        assert ask(program, address, version=1, document=BOARD).status_code == 401


def test_the_values_of_a_variable_are_those_of_its_metrics(owner: httpx.Client) -> None:
    queue = {"queries": [{"id": "A", "metric": "queue.length", "match": ["queue=$q"]}]}
    variables = [*BOARD["variables"], {"name": "q", "label": "queue"}]  # type: ignore[misc]
    board = BOARD | {"variables": variables, "panels": [*BOARD["panels"], PANEL | {"id": "q", "y": 6, "graph": queue}]}  # type: ignore[misc]
    address = f"/api/v1/dashboards/{import_board(owner, board)}/values"
    assert ask(owner, address, variable="node").json() == {"values": ["one", "two"], "is_all": True}
    assert ask(owner, address, variable="q").json()["values"] == ["one-q", "two-q"]
    assert ask(owner, address, label="queue", metrics=["jobs.running"]).json()["values"] == []
    assert ask(owner, address, variable="nothing").status_code == 404


def share(client: httpx.Client, board_id: str, **form: Any) -> str:
    """The path of a new link."""
    answer = client.post(f"/dashboards/{board_id}/share", data={"note": "hall", **form})
    assert answer.status_code == 200, answer.text
    found = re.search(r"<pre tabindex=\"0\">http://[^/]+(/shared/[^<]+)</pre>", answer.text)
    assert found
    return found[1]


def test_a_link_shows_the_dashboard_to_anyone_and_nothing_else(site: Site, owner: httpx.Client) -> None:
    board_id = import_board(owner)
    link = share(owner, board_id)
    with site.client(**HTML, **OURS) as anyone:
        page = anyone.get(link)
        assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
        assert told(page.text)["document"] == BOARD_KEPT
        for hidden in ("boards@example.org", "Edit</button>", f"/dashboards/{board_id}"):
            assert hidden not in page.text
        api = told(page.text)["api"]
        assert lines(ask(anyone, f"{api}/query", panel="jobs", values={"node": "two"})) == {"two": {2}}
        assert ask(anyone, f"{api}/values", variable="node").json()["values"] == ["one", "two"]
        assert anyone.get(f"/dashboards/{board_id}").headers["location"].startswith("/sign-in")
        for address in ("query", "values", ""):
            denied = ask(anyone, f"/api/v1/dashboards/{board_id}{address and '/'}{address}", panel="jobs")
            assert denied.status_code == 401


@pytest.mark.parametrize(
    "more",
    [
        {"graph": {"queries": [{"id": "A", "metric": "queue.length"}]}},
        {"graph": {"queries": [{"id": "A", "metric": "queue.length"}]}, "panel": "jobs"},
        {"revision": 1, "panel": "jobs"},
        {"panel": "jobs", "values": {"other": "x"}},
    ],
)
def test_a_link_runs_what_was_saved_whatever_is_sent(site: Site, owner: httpx.Client, more: dict[str, Any]) -> None:
    board_id = import_board(owner)
    link = share(owner, board_id)
    changed = [PANEL | {"graph": {"queries": [QUERY | {"match": ["node=two"]}]}}]
    ask(owner, f"/api/v1/dashboards/{board_id}", version=1, document=BOARD | {"panels": changed})
    with site.client(**HTML, **OURS) as anyone:
        answer = ask(anyone, f"/api/v1{link}/query", **more)
        assert answer.status_code == 404 if "panel" not in more else lines(answer) == {"two": {2}}


def test_what_a_link_fixes_stays_whatever_is_sent(site: Site, owner: httpx.Client) -> None:
    link = share(owner, import_board(owner), fixed="node=two")
    with site.client(**HTML, **OURS) as anyone:
        assert told(anyone.get(link).text)["fixed"] == {"node": "two"}
        assert lines(ask(anyone, f"/api/v1{link}/query", panel="jobs", values={"node": "one"})) == {"two": {2}}
        assert ask(anyone, f"/api/v1{link}/values", variable="node").json()["values"] == ["two"]


def test_a_revoked_link_is_the_end_of_it(site: Site, owner: httpx.Client, tenant: Tenant) -> None:
    board_id = import_board(owner)
    link, other = share(owner, board_id), share(owner, board_id, days="7")
    (newest, oldest) = shares.list_for(site.control, tenant.account_id, UUID(board_id), datetime.now(UTC))
    assert newest.expires_at is not None and timedelta(days=6) < newest.expires_at - datetime.now(UTC) < timedelta(
        days=7
    )
    assert owner.post(f"/dashboards/{board_id}/share/{oldest.id}/revoke").status_code == 303
    with site.client(**HTML, **OURS) as anyone:
        gone = anyone.get(link)
        assert (gone.status_code, "was revoked, or is too old" in gone.text) == (404, True)
        assert ask(anyone, f"/api/v1{link}/query", panel="jobs").status_code == 404
        assert anyone.get(other).status_code == 200
        made_up = anyone.get(f"/shared/{'0' * 16}_{'x' * 43}")
        assert timeless(made_up.text) == timeless(gone.text)


def timeless(page: str) -> str:
    return re.sub(r'(metrist-now" content=")[^"]+', r"\1", page)


def test_many_readers_of_one_link_wait_their_turn(site: Site) -> None:
    import asyncio

    from api.sharing import AT_ONCE, WAITING_MAX, Readers
    from domain.errors import Overloaded
    from domain.ids import ShareId

    async def crowd() -> tuple[int, int]:
        readers, here, most, refused = Readers(), 0, 0, 0

        async def read(name: str) -> None:
            nonlocal here, most, refused
            try:
                async with readers.place(ShareId(name)):
                    here += 1
                    most = max(most, here)
                    await asyncio.sleep(0.001)
                    here -= 1
            except Overloaded:
                refused += 1

        await asyncio.gather(*(read("a") for _ in range(WAITING_MAX + 5)))
        await read("a")
        return most, refused

    assert asyncio.run(crowd()) == (AT_ONCE, 5)


@pytest.mark.parametrize("role", list(Role))
def test_who_may_save(site: Site, role: Role) -> None:
    company = Company.found(site)
    with company.browser(Role.OWNER) as browser:
        board_id = import_board(browser)
    with company.browser(role) as browser:
        saved = ask(browser, f"/api/v1/dashboards/{board_id}", version=1, document=BOARD | {"title": "New"})
        assert saved.status_code == (403 if role == Role.VIEWER else 200)
        page = browser.get(f"/dashboards/{board_id}")
        assert page.status_code == 200
        assert told(page.text)["mayEdit"] == (role != Role.VIEWER)
        assert ('id="edit"' in page.text) == ("/duplicate" in page.text) == (role != Role.VIEWER)
        assert lines(ask(browser, f"/api/v1/dashboards/{board_id}/query", panel="jobs")) == {}


def test_no_other_site_saves_or_reads(owner: httpx.Client) -> None:
    address = f"/api/v1/dashboards/{import_board(owner)}"
    for path, body in ((address, {"version": 1, "document": BOARD}), (f"{address}/query", {"panel": "jobs"})):
        answer = owner.post(path, json=body, headers={**JSON, "sec-fetch-site": "cross-site"})
        assert answer.status_code == 403


def test_a_graph_of_the_explorer_becomes_a_panel(owner: httpx.Client) -> None:
    address = import_board(owner)
    graph = "A=jobs.running&A.match=node=one&A.over=p95&kind=area&threshold=3:high&range=3h"
    form = owner.get(f"/dashboards/add?{graph}").text
    assert address in form and "A.over=p95" in form
    data = {"graph": graph, "dashboard": address, "title": " The   jobs "}
    made = owner.post("/dashboards/add", data=data)
    assert made.status_code == 303
    place = urlsplit(made.headers["location"])
    assert (place.path, place.query) == (f"/dashboards/{address}", "range=3h")
    document = told(owner.get(f"/dashboards/{address}").text)["document"]
    panel = document["panels"][-1]
    assert (f"panel-{panel['id']}", panel["title"], panel["x"], panel["y"]) == (place.fragment, "The jobs", 0, 6)
    assert panel["graph"]["queries"][0] | {"match": ["node=one"], "over": "p95"} == panel["graph"]["queries"][0]
    assert (panel["graph"]["kind"], panel["graph"]["thresholds"]) == ("area", [{"value": 3.0, "label": "high"}])


def test_a_graph_of_the_explorer_begins_a_dashboard(owner: httpx.Client) -> None:
    refused = owner.post("/dashboards/add", data={"graph": "A=jobs.running", "title": "Mine"})
    assert refused.status_code == 422 and 'value="Mine"' in refused.text and "1 to 100 printable" in refused.text
    made = owner.post("/dashboards/add", data={"graph": "A=jobs.running", "new": "From the explorer"})
    document = told(owner.get(made.headers["location"]).text)["document"]
    assert (document["title"], len(document["panels"])) == ("From the explorer", 1)


@pytest.mark.parametrize(("graph", "status"), [("", 303), ("range=1h", 303), ("A=c u", 422), ("A=cpu&A.top=0", 422)])
def test_what_is_no_graph_is_not_added(owner: httpx.Client, graph: str, status: int) -> None:
    assert owner.post("/dashboards/add", data={"graph": graph, "new": "x"}).status_code == 422
    found = owner.get(f"/dashboards/add?{graph}")
    assert found.status_code == status and found.headers.get("location", "/explore") == "/explore"


def test_a_dashboard_that_is_gone_takes_nothing(owner: httpx.Client, theirs: Tenant) -> None:
    for gone in ("0", "00000000-0000-4000-8000-000000000000"):
        refused = owner.post("/dashboards/add", data={"graph": "A=jobs.running", "dashboard": gone})
        assert refused.status_code == 404 and "no such dashboard" in refused.text
