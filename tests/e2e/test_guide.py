"""The guide, followed in Chromium by somebody without a node: make a key, run the lines, see it at the door."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect

from tests.e2e.platforms import Platform, clean_environment, start_platform

INSTALLED_WITHIN_S = 120


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that no agent reports to, until the first test makes one do so."""
    started = start_platform(tmp_path_factory.mktemp("guide"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, platform: Platform) -> StorageState:
    """The cookies of somebody who used the link that the platform printed."""
    opened = browser.new_context()
    page = opened.new_page()
    page.goto(platform.sign_in_url)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url("**/nodes*")
    state = opened.storage_state()
    opened.close()
    return state


@pytest.fixture
def context(browser: Browser, signed_in: StorageState) -> Iterator[BrowserContext]:
    """A browser of theirs, whose console stays silent."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, storage_state=signed_in)
    complaints: list[str] = []
    opened.on("weberror", lambda error: complaints.append(str(error.error)))
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield opened
    opened.close()
    assert complaints == []


def test_somebody_without_a_node_follows_the_guide(context: BrowserContext, platform: Platform, tmp_path: Path) -> None:
    list_page = context.new_page()
    list_page.goto(f"{platform.url}/nodes")
    expect(list_page.get_by_role("heading", name="Waiting for the first node")).to_be_visible()
    page = context.new_page()
    page.goto(f"{platform.url}/nodes")
    page.get_by_role("button", name="Make a key for this").click()
    expect(page.get_by_text("shown only now")).to_be_visible()
    expect(page.locator("#door-state")).to_have_text("live")
    key = copied(page, "key")
    assert f"METRIST_KEY={key} sh" in copied(page, "script") and "/install.sh |" in copied(page, "script")
    page.get_by_role("tab", name="Shell").click()
    with running(copied(page, "shell"), tmp_path, node="first-node"):
        accepted = page.locator("#door [data-outcome=accepted]").filter(has_text="first-node")
        expect(accepted.first).to_be_visible(timeout=INSTALLED_WITHIN_S * 1000)
        expect(page.locator("#door [data-outcome=refused]")).to_have_count(0)
        list_page.bring_to_front()
        row = list_page.locator("tbody tr").filter(has_text="first-node")
        expect(row).to_contain_text("online", timeout=15_000)
        page.bring_to_front()
        page.get_by_role("link", name="Open first-node").click()
        expect(page.get_by_role("heading", name="first-node")).to_be_visible()
        expect(page.locator("[data-metric='mem.used_percent']")).to_be_attached(timeout=30_000)
    page.goto(f"{platform.url}/help/agent")
    assert key not in page.content()


def test_refused_attempts_say_why(context: BrowserContext, platform: Platform) -> None:
    page = context.new_page()
    page.goto(f"{platform.url}/help/agent")
    page.get_by_role("button", name="Make a key for this").click()
    page.get_by_role("tab", name="curl").click()
    lines = copied(page, "ping")
    assert run(lines)["node"]["name"] == "my-laptop"
    first = page.locator("#door li").first
    expect(first).to_contain_text("ping my-laptop")
    broken = lines.replace('"my-laptop"}', '"my-laptop"')
    assert run(broken)["offset"] == 20
    expect(first).to_contain_text("body not JSON at byte 20")
    expect(first).to_have_attribute("data-outcome", "refused")
    assert run(copied(page, "snapshot"))["accepted"] == 1

    keys = context.new_page()
    keys.goto(f"{platform.url}/settings/keys")
    keys.locator(f"#key-{copied(page, 'key')[4:20]}").get_by_role("button", name="Revoke").click()
    question = keys.get_by_role("dialog")
    expect(question).to_contain_text("It was used")
    question.get_by_role("button", name="Revoke it").click()
    expect(keys.get_by_text("The key is revoked")).to_be_visible()
    assert run(lines)["status"] == 401
    page.bring_to_front()
    expect(first).to_contain_text("key “agent” is revoked")
    for _ in range(2):
        run(lines)
    expect(first).to_contain_text("×3")


def test_a_secret_is_not_made_again_by_a_reload(context: BrowserContext, platform: Platform) -> None:
    page = context.new_page()
    page.goto(f"{platform.url}/settings/keys")
    rows = page.locator("table.keys").first.locator("tbody tr")
    before = rows.count()
    page.get_by_label("Name").fill("web servers")
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#secret").inner_text()
    assert httpx.post(
        f"{platform.url}/api/v1/ping",
        json={"node": "a"},
        headers={"Authorization": f"Bearer {secret}"},
        trust_env=False,
    ).is_success
    expect(rows).to_have_count(before + 1)
    page.reload()
    expect(rows).to_have_count(before + 1)
    assert secret not in page.content() and secret not in platform.output
    logs = "".join(path.read_text() for path in (platform.data_dir / "logs").iterdir())
    assert secret not in logs


@pytest.mark.parametrize("path", ["/help/agent", "/settings/keys", "/nodes"])
def test_the_pages_fit_a_phone(context: BrowserContext, platform: Platform, path: str) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(platform.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_ways_to_install_are_tabs_for_the_keyboard(context: BrowserContext, platform: Platform) -> None:
    page = context.new_page()
    page.goto(f"{platform.url}/help/agent#way-docker")
    tabs = page.get_by_role("tab")
    expect(tabs.nth(3)).to_have_attribute("aria-selected", "true")
    tabs.nth(3).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="curl")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Install")).to_be_visible()
    expect(page.get_by_role("tabpanel", name="curl")).not_to_be_visible()


def copied(page: Page, name: str) -> str:
    """What a reader of the page would copy."""
    return page.locator(f"[data-lines={name}]").inner_text()


def run(lines: str) -> dict[str, object]:
    """What curl prints."""
    said = subprocess.run(["sh", "-c", lines], capture_output=True, text=True, check=True, env=clean_environment())
    answer: dict[str, object] = json.loads(said.stdout)
    return answer


@contextmanager
def running(lines: str, folder: Path, node: str) -> Iterator[None]:
    """The lines in a shell of their own, in an empty folder, until the block ends."""
    home = folder / "home"
    home.mkdir()
    env = clean_environment() | {"HOME": str(home), "METRIST_NODE": node}
    with (folder / "shell.log").open("wb") as log:
        shell = subprocess.Popen(
            ["sh", "-e", "-c", lines], cwd=home, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
        assert shell.poll() is None, (folder / "shell.log").read_text()
    except AssertionError as error:
        raise AssertionError((folder / "shell.log").read_text()) from error
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(20)
