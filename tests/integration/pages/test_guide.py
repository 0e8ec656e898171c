"""The guide to a first node: lines that lead here, a key for who may make one, and the door of one's own account."""

import html
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards import download, guide, sight
from domain.accounts import Role
from schema import api_keys, memberships, sessions
from tests.integration.pages.site import HTML, Site, Tenant, free_port, new_member, new_tenant, serving

KEY = re.compile(r"mtr_[0-9a-f]{16}_[\w-]{43}")
SOON_S = 5.0


@pytest.fixture
def owner(site: Site) -> Tenant:
    return new_tenant(site, f"guide-{time.time_ns()}")


@pytest.fixture
def browser(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(owner.session, **HTML) as client:
        yield client


@pytest.fixture
def agent(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(authorization=f"Bearer {owner.key}") as client:
        yield client


def lines(page: str, name: str) -> str:
    """What a reader of the page would copy."""
    found = re.search(rf'data-lines="{name}">(.*?)</pre>', page, re.DOTALL)
    assert found
    return html.unescape(found[1])


def at_door(browser: httpx.Client, is_there: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The entries, as soon as they are as expected."""
    give_up_s = time.monotonic() + SOON_S
    while True:
        entries: list[dict[str, Any]] = browser.get("/help/agent/door").json()["entries"]
        if is_there(entries) or time.monotonic() > give_up_s:
            return entries
        time.sleep(0.1)


@pytest.mark.parametrize("path", ["/help/agent", "/nodes"])
def test_the_lines_lead_to_where_the_browser_is(site: Site, browser: httpx.Client, path: str) -> None:
    page = browser.get(path, headers={"host": "metrics.lan:8600"}).text
    assert "--server http://metrics.lan:8600" in lines(page, "shell")
    assert f"http://metrics.lan:8600/download/{download.wheel_name()}" in lines(page, "shell")
    assert "METRIST_SERVER=http://metrics.lan:8600" in lines(page, "systemd")
    assert "from this machine" not in page
    assert "leads here only from this machine" in browser.get(path).text


@pytest.mark.parametrize("host", ["a;reboot", "$(reboot)", "a'b", "a b", "a/evil", "a:b", "<b>"])
def test_a_host_that_no_shell_should_see_is_not_shown(site: Site, browser: httpx.Client, host: str) -> None:
    page = browser.get("/help/agent", headers={"host": host}).text
    assert f"--server {site.url}" in lines(page, "shell")
    assert html.escape(host) not in page


def test_an_ipv6_address_is_quoted_for_the_shell(browser: httpx.Client) -> None:
    page = browser.get("/help/agent", headers={"host": "[2001:db8::7]:8600"}).text
    assert "--server 'http://[2001:db8::7]:8600'" in lines(page, "shell")


def test_the_operator_s_address_wins(site: Site, owner: Tenant, tmp_path: Path) -> None:
    update = {"public_url": "http://metrist.example/", "port": free_port(), "spool_dir": tmp_path}
    settings = site.settings.model_copy(update=update)
    address, cookies = f"http://127.0.0.1:{settings.port}", {"metrist_session": owner.session}
    with serving(settings), httpx.Client(base_url=address, cookies=cookies, trust_env=False) as browser:
        page = browser.get("/help/agent").text
    assert "--server http://metrist.example\n" in lines(page, "shell") + "\n"


def test_a_key_made_there_stands_in_all_lines_this_once(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    before = browser.get("/help/agent").text
    assert "YOUR_API_KEY" in lines(before, "shell") and not KEY.search(before)
    answer = browser.post("/help/agent")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    (secret,) = set(KEY.findall(answer.text))
    for name in ("key", "script", "shell", "systemd", "docker", "ping", "snapshot"):
        assert secret in lines(answer.text, name), name
    assert "YOUR_API_KEY" not in answer.text
    assert secret not in browser.get("/help/agent").text
    (made,) = [key for key in api_keys.list_for(site.control, owner.account_id) if key.id == secret[4:20]]
    assert (made.name, sorted(made.scopes), made.made_by) == ("agent", ["ingest"], owner.email)


def test_too_many_keys_are_explained_there(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "ACTIVE_MAX", 1)
    answer = browser.post("/help/agent")
    assert answer.status_code == 409 and "revoke one" in answer.text and "YOUR_API_KEY" in answer.text


def test_a_viewer_is_told_whom_to_ask(site: Site, owner: Tenant) -> None:
    with site.client(new_member(site, owner, Role.VIEWER), **HTML) as viewer:
        page = viewer.get("/help/agent").text
        assert "Make a key" not in page and "an owner or admin of this account makes one" in page
        assert viewer.post("/help/agent").status_code == 403


def test_the_agent_is_there_for_a_bare_machine(stranger: httpx.Client) -> None:
    answer = stranger.get(f"/download/{download.wheel_name()}")
    assert answer.status_code == 200 and answer.content == download.wheel()
    missing = stranger.get("/download/metrist_agent-0.0.1-py3-none-any.whl", headers={"accept": "*/*"})
    assert missing.status_code == 404 and download.wheel_name() in missing.json()["detail"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(browser: httpx.Client, tmp_path: Path) -> None:
    text = lines(browser.get("/help/agent").text, "systemd")
    unit = text[text.index("[Unit]") : text.rindex("EOF")].replace("/opt/metrist-agent/bin/metrist-agent", "/bin/true")
    file = tmp_path / "metrist-agent.service"
    file.write_text(unit)
    said = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_attempts_are_told_with_their_reason(
    site: Site, owner: Tenant, browser: httpx.Client, agent: httpx.Client
) -> None:
    now = time.time()
    agent.post("/api/v1/ping", json={"node": "web-1", "sent_at": now + 250})
    agent.post("/api/v1/snapshots", json={"node": "web-1", "metrics": {"load.1m": 1, "bad name": 2}})
    agent.post("/api/v1/snapshots", json={"node": "web-1", "ts": now + 5_000, "metrics": {"load.1m": 1}})
    broken = '{"node": "web-1", "labels": {"rack": "7", "row": "3" "seat": "4"}}'
    agent.post("/api/v1/ping", content=broken)
    agent.post("/api/v1/snapshots", content="a,b", headers={"content-type": "text/csv"})
    wrong = owner.key[:-4] + ("AAAA" if not owner.key.endswith("AAAA") else "BBBB")
    with site.client(authorization=f"Bearer {wrong}") as other:
        assert other.post("/api/v1/ping", json={"node": "web-1"}).status_code == 401
    entries = at_door(browser, lambda found: len(found) >= 6)
    told = [(entry["outcome"], entry["what"]) for entry in entries]
    assert told == [
        ("accepted", "ping, clock 4 min ahead"),
        ("accepted", "1 sample, 1 refused"),
        ("refused", "1 sample refused"),
        ("refused", "body not JSON at byte " + str(broken.index('"seat"'))),
        ("refused", "the content type or encoding is not supported"),
        ("refused", "wrong secret for key “agent”"),
    ]
    assert {entry["caller"]["remote"] for entry in entries} == {"127.0.0.1"}
    assert entries[0]["node"] == "web-1" and "python-httpx" in entries[0]["caller"]["agent"]
    assert wrong not in json.dumps(entries) and owner.key not in json.dumps(entries)


def test_a_revoked_key_and_a_missing_scope_are_told(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    now = datetime.now(UTC)
    reader = api_keys.create(site.control, owner.account_id, "graphs", ["read"], now)
    ended = api_keys.create(site.control, owner.account_id, "old", ["ingest"], now)
    api_keys.revoke(site.control, owner.account_id, ended.id, now)
    for key, status in ((reader, 403), (ended, 401)):
        with site.client(authorization=f"Bearer {key.secret}") as agent:
            assert agent.post("/api/v1/ping", json={"node": "web-1"}).status_code == status
    entries = at_door(browser, lambda found: len(found) >= 2)
    assert [entry["what"] for entry in entries] == ["key “graphs” may not do this", "key “old” is revoked"]


def test_attempts_show_at_no_other_door(site: Site, owner: Tenant, browser: httpx.Client, agent: httpx.Client) -> None:
    other = new_tenant(site, f"other-{time.time_ns()}")
    with site.client(authorization=f"Bearer {other.key}") as theirs:
        theirs.post("/api/v1/ping", json={"node": "canary"})
        theirs.post("/api/v1/ping", content="{canary", headers={"user-agent": "canary"})
    with site.client(authorization=f"Bearer mtr_{'0' * 16}_{'A' * 43}") as nobody:
        nobody.post("/api/v1/ping", json={"node": "unknown"})
    with site.client() as keyless:
        keyless.post("/api/v1/ping", json={"node": "keyless"})
    agent.post("/api/v1/ping", json={"node": "mine"})
    assert [entry["node"] for entry in at_door(browser, bool)] == ["mine"]
    with site.client(other.session, **HTML) as neighbour:
        entries = at_door(neighbour, lambda found: len(found) == 2)
        assert [entry["outcome"] for entry in entries] == ["accepted", "refused"]


def test_the_stream_tells_what_is_there_and_what_comes(browser: httpx.Client, agent: httpx.Client) -> None:
    agent.post("/api/v1/ping", json={"node": "first"})
    assert at_door(browser, bool)
    with _stream(browser) as events:
        first = next(events)
        assert [entry["node"] for entry in first["entries"]] == ["first"]
        agent.post("/api/v1/ping", json={"node": "second"})
        began_s = time.monotonic()
        second = next(event for event in events if event["entries"])
        assert [entry["node"] for entry in second["entries"]] == ["second"]
        assert time.monotonic() - began_s < 2
    with _stream(browser, {"last-event-id": first["after"]}) as events:
        assert [entry["node"] for entry in next(events)["entries"]] == ["second"]
    with _stream(browser, {"last-event-id": "'; DROP"}) as events:
        assert len(next(events)["entries"]) == 2


def test_a_door_has_only_so_many_followers(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide, "FOLLOWERS_MAX", 1)
    headers = {"accept": "text/event-stream"}
    with _stream(browser) as events:
        next(events)
        answer = browser.get("/help/agent/stream", headers=headers)
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert browser.get("/help/agent/door").status_code == 200
    give_up_s = time.monotonic() + SOON_S
    while time.monotonic() < give_up_s:  # the place is free again
        with browser.stream("GET", "/help/agent/stream", headers=headers) as answer:
            if answer.status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("a follower that left still counts")


@pytest.mark.parametrize("path", ["/help/agent/stream", "/nodes/stream"])
def test_a_stream_ends_with_the_right_to_look(
    site: Site, owner: Tenant, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "CHECK_EVERY_S", 0.2)
    session = new_member(site, owner, Role.VIEWER)
    viewer = sessions.find(site.control, session, datetime.now(UTC))
    assert viewer
    with site.client(session, accept="text/event-stream") as member, member.stream("GET", path) as answer:
        told = answer.iter_lines()
        next(told)
        memberships.revoke(site.control, owner.account_id, viewer.user_id, datetime.now(UTC), actor="system")
        began_s = time.monotonic()
        for _ in told:
            assert time.monotonic() - began_s < 10, "the stream goes on"


@contextmanager
def _stream(browser: httpx.Client, headers: dict[str, str] | None = None) -> Iterator[Iterator[dict[str, Any]]]:
    asked = {"accept": "text/event-stream", **(headers or {})}
    with browser.stream("GET", "/help/agent/stream", headers=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
