"""POST /api/v1/statuses: what agents report appears by itself, changes are recorded once, the rest is refused."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from domain.conditions import State
from schema import conditions, reporting, statuses
from tests.integration.pages.site import Site, Tenant, new_tenant


@pytest.fixture
def home(site: Site) -> Tenant:
    return new_tenant(site, f"home-{uuid4().hex[:8]}")


@pytest.fixture
def agent(site: Site, home: Tenant) -> Iterator[httpx.Client]:
    with site.client(authorization=f"Bearer {home.key}") as client:
        yield client


def post(agent: httpx.Client, *said: dict[str, Any], node: str = "web-1") -> httpx.Response:
    return agent.post("/api/v1/statuses", json={"node": node, "statuses": list(said)})


def test_a_status_appears_by_itself_and_changes_are_recorded_once(
    site: Site, home: Tenant, agent: httpx.Client
) -> None:
    assert post(agent, {"name": "backup", "state": "ok"}).json() == {"accepted": 1, "changed": 0}
    (condition,) = conditions.list_for(site.control, home.account_id)
    assert (condition.name, condition.spec.kind) == ("backup", "reported")
    assert statuses.list_for(site.control, home.account_id) == []

    bad = {"name": "backup", "state": "critical", "message": "no space left"}
    assert post(agent, bad, node="web-2").json()["changed"] == 1
    assert post(agent, bad, node="web-2").json()["changed"] == 0
    (row,) = statuses.list_for(site.control, home.account_id)
    assert (row.group.labels, row.status.state, row.status.message, row.status.severity) == (
        {"node": "web-2"},
        State.FIRING,
        "no space left",
        "critical",
    )
    assert post(agent, {"name": "backup", "state": "ok"}, node="web-2").json()["changed"] == 1
    assert statuses.list_for(site.control, home.account_id) == []
    assert len(conditions.list_for(site.control, home.account_id)) == 1


def test_labels_tell_statuses_of_one_name_apart(site: Site, home: Tenant, agent: httpx.Client) -> None:
    said = [{"name": "disk", "state": "warning", "labels": {"device": name}} for name in ("sda", "sdb")]
    assert post(agent, *said).json() == {"accepted": 2, "changed": 1}  # one condition
    assert {row.group.labels["device"] for row in statuses.list_for(site.control, home.account_id)} == {"sda", "sdb"}


def test_the_last_word_of_a_post_counts(site: Site, home: Tenant, agent: httpx.Client) -> None:
    post(agent, {"name": "raid", "state": "critical"}, {"name": "raid", "state": "ok"})
    assert statuses.list_for(site.control, home.account_id) == []


def test_what_nobody_wants_to_be_told_of_is_paused(site: Site, home: Tenant, agent: httpx.Client) -> None:
    post(agent, {"name": "backup", "state": "ok"})
    (condition,) = conditions.list_for(site.control, home.account_id)
    conditions.switch(site.control, home.account_id, condition.id, False, condition.created_at, actor="user/x")
    assert post(agent, {"name": "backup", "state": "critical"}).json()["changed"] == 0
    assert statuses.list_for(site.control, home.account_id) == []


def test_an_account_has_so_many_names(agent: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "REPORTED_MAX", 1)
    assert post(agent, {"name": "one", "state": "ok"}).status_code == 200
    refused = post(agent, {"name": "two", "state": "ok"})
    assert (refused.status_code, refused.json()["type"].rpartition("#")[2]) == (409, "limit-reached")


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "not JSON"),
        (b'{"node": "web-1", "statuses": [{"name": "x", "state": "bad"}]}', 422, "state"),
        (b'{"node": "web-1", "statuses": [{"name": " ", "state": "ok"}]}', 422, "name"),
        (b'{"node": "web-1", "statuses": [{"name": "x", "state": "ok", "message": "a\\u0000b"}]}', 422, "U+0000"),
        (b'{"node": "web-1", "statuses": [{"name": "x", "state": "ok", "labels": {"node": "y"}}]}', 422, "node"),
        (b'{"node": "web-1", "statuses": [{"name": "x", "state": "ok", "labels": {"a b": "y"}}]}', 422, "label name"),
        (b'{"node": "", "statuses": []}', 422, "node"),
    ],
)
def test_what_cannot_be_kept_is_refused(agent: httpx.Client, body: bytes, status: int, told: str) -> None:
    reply = agent.post("/api/v1/statuses", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == status
    assert told in reply.json()["detail"]


def test_without_a_key_nothing_is_taken(site: Site) -> None:
    with site.client() as client:
        assert post(client, {"name": "x", "state": "ok"}).status_code == 401
