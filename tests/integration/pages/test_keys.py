"""API keys in the settings: shown once, revoked everywhere at once, and nobody else's business."""

import html
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from domain.accounts import Role
from domain.ids import KeyId
from schema import api_keys
from tests.integration.pages.site import HTML, Site, Tenant, free_port, new_member, new_tenant, serving

KEY = re.compile(r"mtr_[0-9a-f]{16}_[\w-]{43}")
AT_ONCE_S = 1.0
"""Far below the five seconds after which a process looks at a key again by itself."""


@pytest.fixture
def owner(site: Site) -> Tenant:
    return new_tenant(site, f"keys-{time.time_ns()}")


@pytest.fixture
def browser(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(owner.session, **HTML) as client:
        yield client


def test_a_new_key_is_shown_once_and_works(site: Site, browser: httpx.Client) -> None:
    answer = browser.post("/settings/keys", data={"name": "web servers", "scope": ["ingest", "read"]})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    (secret,) = set(KEY.findall(answer.text))
    assert f"METRIST_KEY={secret}" in answer.text
    assert secret not in str(answer.headers)
    with site.client(authorization=f"Bearer {secret}") as agent:
        assert agent.post("/api/v1/ping", json={"node": "web-1"}).status_code == 200
        assert agent.get("/api/v1/metrics").status_code == 200
    again = browser.get("/settings/keys")
    assert secret not in again.text
    assert "web servers" in again.text and secret[:20] in again.text and "@example.org" in again.text


@pytest.mark.parametrize(
    ("form", "detail"),
    [
        ({"name": "", "scope": ["ingest"]}, "name"),
        ({"name": "x" * 101, "scope": ["ingest"]}, "name"),
        ({"name": "kept <b>"}, "scopes ingest, manage, read"),
        ({"name": "kept <b>", "scope": ["everything"]}, "scopes ingest, manage, read"),
    ],
    ids=["no name", "long name", "no scope", "unknown scope"],
)
def test_a_form_that_cannot_be_is_explained_and_kept(
    browser: httpx.Client, form: dict[str, str | list[str]], detail: str
) -> None:
    answer = browser.post("/settings/keys", data=form)
    assert answer.status_code == 422
    assert detail in answer.text and 'role="alert"' in answer.text
    assert not KEY.search(answer.text)
    assert f'value="{html.escape(str(form["name"]))}"' in answer.text


def test_too_many_keys_are_refused(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "ACTIVE_MAX", 1)
    answer = browser.post("/settings/keys", data={"name": "one more", "scope": ["ingest"]})
    assert answer.status_code == 409 and "revoke one" in answer.text


def test_a_viewer_sees_keys_and_changes_none(site: Site, owner: Tenant) -> None:
    key_id = owner.key[4:20]
    with site.client(new_member(site, owner, Role.VIEWER), **HTML) as viewer:
        shown = viewer.get("/settings/keys").text
        assert key_id in shown and "Revoke" not in shown and "Make the key" not in shown
        assert viewer.post("/settings/keys", data={"name": "mine", "scope": ["read"]}).status_code == 403
        assert viewer.post(f"/settings/keys/{key_id}/revoke").status_code == 403
    with site.client(new_member(site, owner, Role.ADMIN), **HTML) as admin:
        assert "Revoke" in admin.get("/settings/keys").text
    stored = api_keys.find_by_public_id(site.control, KeyId(key_id))
    assert stored and stored.revoked_at is None


def test_another_account_s_key_is_not_there(site: Site, browser: httpx.Client, theirs: Tenant) -> None:
    key_id = theirs.key[4:20]
    assert key_id not in browser.get("/settings/keys").text
    assert browser.post(f"/settings/keys/{key_id}/revoke").status_code == 404
    stored = api_keys.find_by_public_id(site.control, KeyId(key_id))
    assert stored and stored.revoked_at is None


@pytest.mark.parametrize("path", ["/settings/keys", "/settings/keys/{id}/revoke", "/help/agent"])
def test_forms_of_other_sites_are_refused(browser: httpx.Client, owner: Tenant, path: str) -> None:
    asked = path.format(id=owner.key[4:20])
    answer = browser.post(asked, data={"name": "x", "scope": "read"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


def test_a_key_in_use_is_not_revoked_without_a_warning(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    now, key_id = datetime.now(UTC), KeyId(owner.key[4:20])
    assert "It was never used" in browser.get("/settings/keys").text
    api_keys.touch_last_used(site.control, owner.account_id, key_id, now - timedelta(minutes=11))
    assert "What uses it is refused" not in browser.get("/settings/keys").text
    api_keys.touch_last_used(site.control, owner.account_id, key_id, now - timedelta(minutes=9))
    assert "What uses it is refused" in browser.get("/settings/keys").text


def test_a_revoked_key_ends_in_every_process_at_once(
    site: Site, owner: Tenant, browser: httpx.Client, tmp_path: Path
) -> None:
    settings = site.settings.model_copy(update={"port": free_port(), "spool_dir": tmp_path})
    headers = {"authorization": f"Bearer {owner.key}"}
    with (
        serving(settings),
        httpx.Client(base_url=settings.base_url, headers=headers, trust_env=False) as other,
        site.client(**headers) as here,
    ):
        assert [_ping(agent) for agent in (here, other)] == [200, 200]
        answer = browser.post(f"/settings/keys/{owner.key[4:20]}/revoke")
        began_s = time.monotonic()
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings/keys?said=revoked")
        for agent in (here, other):
            while _ping(agent) != 401:
                assert time.monotonic() - began_s < AT_ONCE_S
                time.sleep(0.02)
        assert time.monotonic() - began_s < AT_ONCE_S
    assert "Revoked <small" in browser.get("/settings/keys").text


def test_what_is_revoked_twice_stays_so(browser: httpx.Client, owner: Tenant) -> None:
    for _ in range(2):
        assert browser.post(f"/settings/keys/{owner.key[4:20]}/revoke").status_code == 303
    assert browser.post("/settings/keys/0123456789abcdef/revoke").status_code == 404


def _ping(agent: httpx.Client) -> int:
    return agent.post("/api/v1/ping", json={"node": "web-1"}).status_code
