"""A key is replaced in Chromium while an agent reports with it: no sample is missing, and the old one ends at once."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.platforms import Platform, clean_environment

NODE, METRIC, INTERVAL_S = "rotated", "load.1m", 3
GAP_S = 3 * INTERVAL_S
"""A graph begins to show a gap."""
SOON_MS = 20_000


@pytest.fixture
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(platform.new_sign_in_url())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/nodes")
    yield page
    assert complaints == []
    context.close()


def test_a_key_is_replaced_under_a_running_agent(page: Page, platform: Platform, tmp_path: Path) -> None:
    began_s = time.time()
    old, line = made(page, platform, "first of the pair")
    with reporting(line, tmp_path):
        platform.wait_until(lambda: len(instants(platform, began_s)) >= 2)
        new, line = made(page, platform, "second of the pair")
        expect(row(page, new)).to_contain_text("never")
        expect(row(page, old)).not_to_contain_text("never")
    with reporting(line, tmp_path):
        switched_s = time.time()
        platform.wait_until(lambda: sum(ts > switched_s for ts in instants(platform, began_s)) >= 2)
        page.goto(f"{platform.url}/settings/keys")
        expect(row(page, new)).not_to_contain_text("never")
        expect(row(page, old).locator("[data-title='Last used']")).to_contain_text("ago")
        row(page, old).get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()
        expect(page.get_by_text("The key is revoked")).to_be_visible()
        assert [ping(platform, key).status_code for key in (old, new)] == [401, 200], "from the very next request on"
        expect(page.locator(f"#key-{old[4:20]}")).to_have_count(0)
        revoked_s = time.time()
        platform.wait_until(lambda: sum(ts > revoked_s for ts in instants(platform, began_s)) >= 2)
    gaps = [later - earlier for earlier, later in pairwise(instants(platform, began_s))]
    assert max(gaps) <= GAP_S, f"samples are missing: {gaps}"


def made(page: Page, platform: Platform, name: str) -> tuple[str, str]:
    """A new key, made and copied by hand: its secret, and the install line."""
    page.goto(f"{platform.url}/settings/keys")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#secret").inner_text()
    lines = page.locator("[data-lines=shell]").inner_text()
    assert secret in lines
    return secret, lines


def row(page: Page, secret: str) -> Locator:
    return page.locator(f"#key-{secret[4:20]}")


@contextmanager
def reporting(lines: str, folder: Path) -> Iterator[None]:
    """The last of the lines, by this interpreter's agent in place of an installed one, until the block ends."""
    words = shlex.split(lines.replace("\\\n", " ").splitlines()[-1])
    given = dict(re.findall(r"^(\w+)=(.*)$", "\n".join(words), re.MULTILINE))
    command = [sys.executable, "-P", "-m", "agent", *words[words.index("--server") :]]
    command += ["--node", NODE, "--interval", str(INTERVAL_S), "--state-dir", str(folder / "state")]
    with (folder / "agent.log").open("ab") as log:
        agent = subprocess.Popen(command, env=clean_environment() | given, cwd=folder, stdout=log, stderr=log)
        try:
            yield
            assert agent.poll() is None, (folder / "agent.log").read_text()
        finally:
            agent.terminate()
            agent.wait(20)


def instants(platform: Platform, since_s: float) -> list[float]:
    """When the samples that arrived were taken, Unix seconds."""
    query = {"metric": METRIC, "node": NODE, "from": str(int(since_s)), "to": "now", "step": "1"}
    found = platform.get("/api/v1/series", params=query).json()["series"]
    return found[0]["ts"] if found else []


def ping(platform: Platform, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{platform.url}/api/v1/ping", json={"node": NODE}, headers=headers, trust_env=False)
