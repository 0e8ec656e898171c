"""Invitations and roles on pages, and the account's log."""

import csv
import io
import json
import re
from datetime import UTC, datetime

import pytest

from domain.accounts import Role
from schema import nodes
from tests.integration.pages.company import OURS, Company
from tests.integration.pages.site import HOSTILE, HTML, Site, new_tenant

LINK = re.compile(r"/invite/([0-9a-f]{16}_[\w-]{43})")
FORMULA = "=cmd|'/c calc'!A1"


@pytest.fixture
def company(site: Site) -> Company:
    return Company.found(site)


def test_a_link_is_shown_once_and_lets_one_person_in(site: Site, company: Company) -> None:
    answer = company.post(Role.OWNER, "/settings/people", role="admin", note="for Grace")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    (token,) = set(LINK.findall(answer.text))
    assert f"{site.settings.base_url}/invite/{token}" in answer.text
    again = company.get(Role.ADMIN, "/settings/people").text
    assert token not in again and "for Grace" in again
    guest = new_tenant(site, f"guest-{token[:16]}")
    with site.client(guest.session, **HTML, **OURS) as browser:
        for _ in range(3):
            page = browser.get(f"/invite/{token}").text
            assert company.tenant.email in page and "as <b>admin</b>" in page and guest.email in page
        answer = browser.post(f"/invite/{token}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes")
        assert f"of {company.tenant.email.partition('@')[0]}" in browser.get("/settings/account").text
        for gone in (browser.get(f"/invite/{token}"), browser.post(f"/invite/{token}")):
            assert gone.status_code == 404 and "does not work" in gone.text
    assert sorted(company.roles().values()) == ["admin", "admin", "owner"]


def test_a_stranger_signs_in_and_comes_back_to_the_invitation(site: Site, company: Company) -> None:
    token = company.invite()
    with site.client(**HTML, **OURS) as stranger:
        answer = stranger.get(f"/invite/{token}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next=/invite/{token}")
        assert stranger.post(f"/invite/{token}").headers["location"] == "/sign-in"
    assert len(company.waiting()) == 1


def test_who_belongs_already_is_told_so_and_leaves_the_link_to_others(site: Site, company: Company) -> None:
    token = company.invite()
    with company.browser(Role.VIEWER) as browser:
        assert "You belong to" in browser.get(f"/invite/{token}").text
        assert browser.post(f"/invite/{token}").status_code == 303
    assert len(company.waiting()) == 1


@pytest.mark.parametrize("token", ["x", "0" * 16 + "_" + "A" * 43, "%00", "a" * 3_000])
def test_a_link_that_is_none_says_nothing_of_any_account(company: Company, token: str) -> None:
    answer = company.get(Role.VIEWER, f"/invite/{token}")
    assert answer.status_code == 404 and "does not work" in answer.text


def test_an_invitation_is_revoked(company: Company) -> None:
    token = company.invite(note=HOSTILE)
    assert HOSTILE not in company.get(Role.ADMIN, "/settings/people").text
    (waiting,) = company.waiting()
    answer = company.post(Role.ADMIN, f"/settings/people/invitations/{waiting}/revoke")
    assert answer.headers["location"] == "/settings/people?said=withdrawn"
    answer = company.post(Role.ADMIN, f"/settings/people/invitations/{waiting}/revoke")
    assert answer.status_code == 404 and "accepted, or revoked before" in answer.text
    assert company.get(Role.VIEWER, f"/invite/{token}").status_code == 404


def test_roles_are_changed_and_people_removed(company: Company) -> None:
    viewer = company.user(Role.VIEWER)
    answer = company.post(Role.OWNER, f"/settings/people/{viewer}/role", role="admin")
    assert answer.headers["location"] == "/settings/people?said=role"
    assert company.roles()[viewer] == Role.ADMIN
    assert company.post(Role.OWNER, f"/settings/people/{viewer}/role", role="emperor").status_code == 422
    assert company.post(Role.OWNER, f"/settings/people/{viewer}/remove").status_code == 303
    assert viewer not in company.roles()
    with company.site.client(company.sessions[Role.VIEWER], **HTML) as browser:
        assert company.tenant.email not in browser.get("/settings/people").text


def test_an_admin_may_not_touch_an_owner_and_the_last_owner_stays(company: Company) -> None:
    owner = company.owner
    for path, data in (
        (f"/settings/people/{owner}/role", {"role": "viewer"}),
        (f"/settings/people/{owner}/remove", {}),
    ):
        answer = company.post(Role.ADMIN, path, **data)
        assert answer.status_code == 403 and "ask an owner" in answer.text
    answer = company.post(Role.OWNER, f"/settings/people/{owner}/role", role="admin")
    assert answer.status_code == 403 and "at least one owner" in answer.text
    assert company.roles()[owner] == Role.OWNER


def test_the_account_is_handed_over(company: Company) -> None:
    admin, owner = company.user(Role.ADMIN), company.owner
    assert company.post(Role.OWNER, "/settings/people/transfer", to=str(admin)).status_code == 303
    assert (company.roles()[admin], company.roles()[owner]) == (Role.OWNER, Role.ADMIN)
    assert company.post(Role.OWNER, "/settings/people/transfer", to=str(admin)).status_code == 403


def sentences(page: str) -> list[str]:
    return re.findall(r'class="what">([^<]*)<', page)


def test_the_log_tells_what_happened_newest_first(company: Company) -> None:
    viewer = company.user(Role.VIEWER)
    company.post(Role.OWNER, "/settings/you/name", name="Ada")
    company.post(Role.OWNER, f"/settings/people/{viewer}/role", role="admin")
    company.post(Role.OWNER, "/settings/account/name", name="Observatory")
    page = company.get(Role.OWNER, "/settings/audit").text
    told = sentences(page)
    assert told[0] == "Ada renamed the account to Observatory"
    assert re.fullmatch(r"Ada made viewer-\d+@example.org an admin", told[1])
    assert "secret_sha256" not in page
    assert sentences(company.get(Role.OWNER, "/settings/audit", q="renamed").text) == told[:1]
    assert sentences(company.get(Role.OWNER, "/settings/audit", kind="keys").text) == [
        "Metrist made the API key agent for ingest and read"
    ]
    nothing = company.get(Role.OWNER, "/settings/audit", q="nobody did this")
    assert sentences(nothing.text) == [] and "Nothing matches" in nothing.text


def test_the_log_has_pages(company: Company) -> None:
    now = datetime.now(UTC)
    for number in range(60):
        nodes.register(company.site.control, company.tenant.account_id, f"node-{number:02}", None, now)
    first = company.get(Role.OWNER, "/settings/audit", kind="nodes").text
    (older,) = re.findall(r'href="(/settings/audit\?[^"]*below=\d+)"', first)
    with company.browser(Role.OWNER) as browser:
        second = browser.get(older.replace("&amp;", "&")).text
    told = sentences(first) + sentences(second)
    assert told == [f"node-{number:02} reported for the first time" for number in reversed(range(60))]
    assert "Newest" in second and "below=" not in second


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"from": "yesterday"}, 422),
        ({"to": "2026-13-01"}, 422),
        ({"to": "9999-12-31"}, 422),
        ({"kind": "secrets"}, 422),
        ({"from": "0001-01-01", "to": "9998-12-31"}, 200),
        ({"below": "-1"}, 422),
        ({"below": str(2**63)}, 422),
        ({"q": "x" * 201}, 422),
    ],
)
def test_a_question_that_cannot_be_is_refused(company: Company, query: dict[str, str], status: int) -> None:
    assert company.get(Role.OWNER, "/settings/audit", **query).status_code == status
    if "below" not in query:
        assert company.get(Role.OWNER, "/settings/audit.csv", **query).status_code == status


def test_the_log_is_downloaded_whole_and_harmless(company: Company) -> None:
    now = datetime.now(UTC)
    for name in (FORMULA, HOSTILE, 'with "quotes", and\nlines'):
        nodes.register(company.site.control, company.tenant.account_id, name, None, now)
    answer = company.get(Role.ADMIN, "/settings/audit.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="audit-[\d-]+\.csv"', answer.headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    lines = [json.loads(line) for line in company.get(Role.ADMIN, "/settings/audit.ndjson").text.splitlines()]
    assert len(rows) == len(lines) == len(sentences(company.get(Role.ADMIN, "/settings/audit").text))
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert f"'{FORMULA}" in {row["actor"] for row in rows}
    assert FORMULA in {line["actor_name"] for line in lines}
    key = next(line for line in lines if line["event"] == "key_created")
    assert set(key["details"]) == {"account_id", "name", "scopes"}
    assert "secret" not in answer.text
    assert HOSTILE not in company.get(Role.ADMIN, "/settings/audit").text
