"""Every page that changes something, times every role: the table names each route, so that none is forgotten."""

from collections.abc import Iterable, Iterator
from uuid import uuid4

import pytest
from starlette.routing import BaseRoute

from domain.accounts import Role
from domain.permissions import RANK
from schema import api_keys, sessions
from tests.integration.pages.company import Company, Fill
from tests.integration.pages.site import HTML, Site, new_tenant


def to(path: str, **data: str) -> Fill:
    """A form that fits no account in particular."""
    return lambda company: (path, data)


def member(act: str, who: Role, **data: str) -> Fill:
    return lambda company: (f"/settings/people/{company.user(who)}/{act}", data)


def revoke_invitation(company: Company) -> tuple[str, dict[str, str]]:
    company.invite()
    return f"/settings/people/invitations/{company.waiting()[0]}/revoke", {}


def revoke_key(company: Company) -> tuple[str, dict[str, str]]:
    (key,) = api_keys.list_for(company.site.control, company.tenant.account_id)
    return f"/settings/keys/{key.id}/revoke", {}


V, A, O = Role.VIEWER, Role.ADMIN, Role.OWNER  # noqa: E741
BY_ROLE: list[tuple[str, Role, Fill]] = [
    ("/settings/account/name", A, to("/settings/account/name", name="new")),
    ("/settings/account/deregistration", A, to("/settings/account/deregistration", hours="5")),
    ("/settings/account/delete", O, to("/settings/account/delete", name="not its name")),
    ("/settings/people", A, to("/settings/people", role="viewer")),
    ("/settings/people", A, to("/settings/people", role="admin")),
    ("/settings/people", O, to("/settings/people", role="owner")),
    ("/settings/people/invitations/{invitation_id}/revoke", A, revoke_invitation),
    ("/settings/people/{user_id}/role", A, member("role", V, role="admin")),
    ("/settings/people/{user_id}/role", O, member("role", V, role="owner")),
    ("/settings/people/{user_id}/remove", A, to(f"/settings/people/{uuid4()}/remove")),
    ("/settings/people/transfer", O, to("/settings/people/transfer", to=str(uuid4()))),
    ("/settings/keys", A, to("/settings/keys", name="new", scope="read")),
    ("/settings/keys/{key_id}/revoke", A, revoke_key),
    ("/help/agent", A, to("/help/agent")),
    ("/nodes/{name:path}", A, to("/nodes/nothing", act="remove")),
    ("/dashboards", A, to("/dashboards", title="new")),
    ("/dashboards/import", A, to("/dashboards/import", text="{}")),
    ("/dashboards/add", A, to("/dashboards/add", graph="A=cpu", new="new")),
    ("/dashboards/from-node", A, to("/dashboards/from-node", node="nothing")),
    ("/dashboards/{dashboard_id}/duplicate", A, to(f"/dashboards/{uuid4()}/duplicate")),
    ("/dashboards/{dashboard_id}/delete", A, to(f"/dashboards/{uuid4()}/delete")),
    ("/dashboards/{dashboard_id}/revisions", A, to(f"/dashboards/{uuid4()}/revisions", revision="1", version="1")),
    ("/dashboards/{dashboard_id}/share", A, to(f"/dashboards/{uuid4()}/share")),
    ("/dashboards/{dashboard_id}/share/{share_id}/revoke", A, to(f"/dashboards/{uuid4()}/share/0/revoke")),
    ("/monitors", A, to("/monitors", name="disk", script="log('a')")),
    ("/monitors/check", A, to("/monitors/check", script="log('a')")),
    ("/monitors/parameters", A, to("/monitors/parameters", parameters="a: number = 1")),
    ("/monitors/target", A, to("/monitors/target", match="*")),
    ("/monitors/dry-run", A, to("/monitors/dry-run", script="log('a')")),
    ("/monitors/trial", A, to("/monitors/trial", script="log('a')")),
    ("/monitors/{name}/edit", A, to("/monitors/nothing/edit", script="log('a')")),
    ("/monitors/{name}/push", A, to("/monitors/nothing/push", version="1")),
    ("/monitors/{name}/pause", A, to("/monitors/nothing/pause")),
    ("/monitors/{name}/resume", A, to("/monitors/nothing/resume")),
    ("/monitors/{name}/remove", A, to("/monitors/nothing/remove")),
    ("/conditions/ready", A, to("/conditions/ready")),
    ("/conditions/new", A, to("/conditions/new", name="x")),
    ("/conditions/preview", A, to("/conditions/preview", kind="nodes")),
    ("/conditions/backtest", A, to("/conditions/backtest", kind="nodes")),
    ("/conditions/{condition_id}/edit", A, to(f"/conditions/{uuid4()}/edit", name="x")),
    ("/conditions/{condition_id}/switch", A, to(f"/conditions/{uuid4()}/switch")),
    ("/conditions/{condition_id}/delete", A, to(f"/conditions/{uuid4()}/delete")),
    ("/conditions/{condition_id}/acknowledge", V, to(f"/conditions/{uuid4()}/acknowledge", group="0" * 64)),
    ("/recordings", V, to("/recordings", node="nothing", metric="load.1m")),
    ("/recordings/{recording_id}/stop", V, to(f"/recordings/{uuid4()}/stop")),
    ("/recordings/{recording_id}/end", V, to(f"/recordings/{uuid4()}/end")),
    ("/recordings/{recording_id}/name", V, to(f"/recordings/{uuid4()}/name", note="x")),
    ("/recordings/{recording_id}/delete", V, to(f"/recordings/{uuid4()}/delete")),
    ("/channels", A, to("/channels", kind="webhook", name="new", url="https://hooks.example.org/")),
    ("/channels/preview", A, to("/channels/preview", template="{{ headline }}", escapes="text")),
    ("/channels/{channel_id}", A, to(f"/channels/{uuid4()}", name="new")),
    ("/channels/{channel_id}/test", A, to(f"/channels/{uuid4()}/test")),
    ("/channels/{channel_id}/ask", A, to(f"/channels/{uuid4()}/ask")),
    ("/channels/{channel_id}/rotate", A, to(f"/channels/{uuid4()}/rotate")),
    ("/channels/{channel_id}/switch", A, to(f"/channels/{uuid4()}/switch", on="1")),
    ("/channels/{channel_id}/remove", A, to(f"/channels/{uuid4()}/remove")),
    ("/routes", A, to("/routes", match="node=x")),
    ("/routes/{route_id}", A, to(f"/routes/{uuid4()}", match="node=x")),
    ("/routes/{route_id}/move", A, to(f"/routes/{uuid4()}/move")),
    ("/routes/{route_id}/remove", A, to(f"/routes/{uuid4()}/remove")),
    ("/silences", A, to("/silences", match="node=x")),
    ("/silences/{silence_id}", A, to(f"/silences/{uuid4()}", match="node=x")),
    ("/silences/{silence_id}/end", A, to(f"/silences/{uuid4()}/end")),
    ("/deliveries/{delivery_id}/again", A, to(f"/deliveries/{uuid4()}/again")),
]
"""The route, the least role that may use it, and how it is used."""
BY_PERSON = {
    "/settings/account/leave",
    "/settings/platform/dashboard",
    "/settings/you/name",
    "/settings/you/sessions/{listed_id}/end",
    "/settings/you/sessions/end-others",
    "/settings/you/disconnect",
    "/accounts/switch",
    "/accounts/new",
    "/invite/{token}",
    "/sign-out/everywhere",
}
"""Whoever has signed in, for themselves."""
BY_ANYONE = {"/mail/confirm/{token}", "/mail/stop/{token}", "/sign-in", "/sign-in/{provider}", "/sign-out"}
CASES = [(f"{route}-{n}", least, fill) for n, (route, least, fill) in enumerate(BY_ROLE)]


def unsafe(routes: Iterable[BaseRoute]) -> Iterator[str]:
    """The paths of pages that take anything but GET; FastAPI keeps included routers as they are."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from unsafe(inner.routes)
        elif set(getattr(route, "methods", None) or ()) - {"GET", "HEAD"}:
            path: str = route.path  # type: ignore[attr-defined]
            if not path.startswith("/api/"):
                yield path


def test_every_page_that_changes_something_is_in_the_table(site: Site) -> None:
    assert set(unsafe(site.app.routes)) == {route for route, _, _ in BY_ROLE} | BY_PERSON | BY_ANYONE


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("case", "least", "fill"), CASES, ids=[case[0] for case in CASES])
def test_who_may(site: Site, case: str, least: Role, fill: Fill, role: Role) -> None:
    company = Company.found(site)
    path, data = fill(company)
    answer = company.post(role, path, **data)
    assert (answer.status_code != 403) == (RANK[role] >= RANK[least]), answer.text
    assert answer.status_code < 500


@pytest.mark.parametrize(("case", "least", "fill"), CASES, ids=[case[0] for case in CASES])
def test_no_other_site_may(site: Site, case: str, least: Role, fill: Fill) -> None:
    company = Company.found(site)
    path, data = fill(company)
    with site.client(company.tenant.session, **HTML) as browser:
        answer = browser.post(path, data=data, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403 and "another site" in answer.text


@pytest.mark.parametrize("path", sorted(BY_PERSON))
def test_no_other_site_acts_for_a_person(site: Site, path: str) -> None:
    company = Company.found(site)
    place = path.format(listed_id="0", token=company.invite())
    form = {"name": "x", "account": str(company.tenant.account_id), "provider": "github"}
    with site.client(company.tenant.session, **HTML) as browser:
        assert browser.post(place, data=form, headers={"origin": "https://evil.example"}).status_code == 403
    with site.client(**HTML) as stranger:
        answer = stranger.post(place, data=form, headers={"sec-fetch-site": "same-origin"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/settings/account", V),
        ("/settings/people", V),
        ("/settings/keys", V),
        ("/settings/you", V),
        ("/dashboards", V),
        ("/settings/audit", A),
        ("/settings/audit.csv", A),
        ("/settings/audit.ndjson", A),
    ],
)
def test_who_may_see(site: Site, path: str, least: Role, role: Role) -> None:
    company = Company.found(site)
    expected = 200 if RANK[role] >= RANK[least] else 403
    assert company.get(role, path).status_code == expected


def test_a_viewer_is_shown_no_button_that_would_refuse(site: Site) -> None:
    company = Company.found(site)
    company.browser(Role.ADMIN).close()
    company.invite(note="waiting")
    seen = "".join(company.get(Role.VIEWER, f"/settings/{page}").text for page in ("account", "people", "keys"))
    actions = {part.partition('"')[0] for part in seen.split(' action="')[1:]}
    mine = company.user(Role.VIEWER)
    assert actions == {
        "/accounts/switch",
        "/sign-out",
        "/settings/account/leave",
        f"/settings/people/{mine}/remove",
    }
    assert "waiting" not in seen and "/settings/audit" not in seen


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_nothing_of_another_account_can_be_reached(site: Site, role: Role) -> None:
    ours, theirs = Company.found(site), Company.found(site)
    theirs.invite()
    outsider = theirs.user(Role.VIEWER)
    before = (theirs.roles(), theirs.waiting())
    (key,) = api_keys.list_for(site.control, theirs.tenant.account_id)
    attempts: list[tuple[str, dict[str, str]]] = [
        (f"/settings/people/{outsider}/role", {"role": "admin"}),
        (f"/settings/people/{outsider}/remove", {}),
        (f"/settings/people/invitations/{theirs.waiting()[0]}/revoke", {}),
        (f"/settings/keys/{key.id}/revoke", {}),
        ("/accounts/switch", {"account": str(theirs.tenant.account_id)}),
    ]
    if role == Role.OWNER:
        attempts.append(("/settings/people/transfer", {"to": str(outsider)}))
    for path, data in attempts:
        answer = ours.post(role, path, **data)
        assert answer.status_code == 404, path
        assert theirs.tenant.email not in answer.text
    assert (theirs.roles(), theirs.waiting()) == before
    assert theirs.get(Role.OWNER, "/nodes").status_code == 200


def test_another_persons_session_is_not_ended(site: Site) -> None:
    ours, other = Company.found(site), new_tenant(site, f"other-{uuid4()}")
    with site.client(other.session, **HTML) as browser:
        listed = browser.get("/settings/you").text
        assert listed.count("this one") == 1
        ours.post(Role.OWNER, f"/settings/you/sessions/{sessions.session_id(other.session)}/end")
        assert browser.get("/settings/you").status_code == 200
