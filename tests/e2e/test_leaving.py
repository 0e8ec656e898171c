"""Real agents that restart, stop, come and go, share a name, and are removed; on a platform with quick pings."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.e2e.platforms import Platform, clean_environment, start_platform

QUICK = {"METRIST_PING_INTERVAL_S": "1", "METRIST_GRACE_S": "5"}
"""Late after 3 s, offline after 10."""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = start_platform(tmp_path_factory.mktemp("quick"), env=QUICK)
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def person(quick: Platform) -> Iterator[httpx.Client]:
    """The owner, signed in by the link that was printed."""
    own = {"sec-fetch-site": "same-origin", "accept": "text/html"}
    with httpx.Client(base_url=quick.url, headers=own, timeout=15, trust_env=False) as client:
        page = client.get(quick.sign_in_url).text
        form = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        assert client.post("/sign-in", data=form).status_code in (200, 303)
        yield client


class Agent:
    """An agent as its users run it."""

    def __init__(self, platform: Platform, folder: Path, node: str, *options: str) -> None:
        told = {"METRIST_SERVER": platform.url, "METRIST_KEY": platform.key, "METRIST_AGENT_STATE": str(folder)}
        command = [sys.executable, "-P", "-m", "metrist", "agent", "--node", node, "--interval", "1", *options]
        self.process = subprocess.Popen(command, env=clean_environment() | told, stderr=subprocess.DEVNULL)

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(10)

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def events(platform: Platform, node: str) -> list[dict[str, Any]]:
    answer = platform.get(f"/api/v1/nodes/{node}/events", params={"from": "now-1h"})
    found: list[dict[str, Any]] = answer.json()["events"] if answer.status_code == 200 else []
    return found


def types(platform: Platform, node: str) -> list[str]:
    return [event["type"] for event in events(platform, node)]


def notices(person: httpx.Client, node: str) -> str:
    return person.get(f"/nodes/{node}", params={"part": "notices"}).text


def test_a_restart_is_announced_and_no_silence(quick: Platform, person: httpx.Client, tmp_path: Path) -> None:
    with Agent(quick, tmp_path, "restarter") as agent:
        quick.wait_until(lambda: types(quick, "restarter") == ["node_registered"])
        time.sleep(2)
        agent.stop()
    quick.wait_until(lambda: types(quick, "restarter") == ["node_registered", "node_away"])
    assert "means to be back by" in notices(person, "restarter")
    time.sleep(6)
    assert types(quick, "restarter") == ["node_registered", "node_away"], "twice as long as makes a node late"
    with Agent(quick, tmp_path, "restarter"):
        quick.wait_until(lambda: types(quick, "restarter") == ["node_registered", "node_away", "node_back"])
    assert "goodbye" not in notices(person, "restarter")


def test_a_kill_is_silence(quick: Platform, tmp_path: Path) -> None:
    with Agent(quick, tmp_path, "victim") as agent:
        quick.wait_until(lambda: types(quick, "victim") == ["node_registered"])
        time.sleep(1)
        agent.stop(signal.SIGKILL)
    quick.wait_until(lambda: types(quick, "victim")[-1:] == ["node_offline"])
    assert events(quick, "victim")[1]["payload"]["cause"].startswith("silent for ")


def test_a_stop_for_good_is_offline_at_once(quick: Platform, tmp_path: Path) -> None:
    with Agent(quick, tmp_path, "stopper", "--goodbye-s", "0") as agent:
        quick.wait_until(lambda: types(quick, "stopper") == ["node_registered"])
        time.sleep(1)
        agent.stop()
    quick.wait_until(lambda: types(quick, "stopper") == ["node_registered", "node_offline"], 5)
    assert events(quick, "stopper")[-1]["payload"]["cause"] == "said goodbye: stop"


def test_an_ephemeral_agent_leaves_and_returns_without_a_word(quick: Platform, tmp_path: Path) -> None:
    told = ["node_registered", "node_deregistered", "node_online"]
    for n in (1, 3):
        with Agent(quick, tmp_path, "job", "--ephemeral") as agent:
            quick.wait_until(lambda n=n: types(quick, "job") == told[:n])  # type: ignore[misc]
            time.sleep(1)
            if n == 1:
                agent.stop()
                quick.wait_until(lambda: types(quick, "job") == told[:2], 5)


@pytest.mark.parametrize("is_clone", [False, True], ids=["two machines", "a clone"])
def test_two_agents_under_one_name_are_told(
    quick: Platform, person: httpx.Client, tmp_path: Path, is_clone: bool
) -> None:
    node = f"twins-{is_clone}"
    with Agent(quick, tmp_path / "one", node):
        quick.wait_until((tmp_path / "one" / "instance").exists)
        if is_clone:
            (tmp_path / "other").mkdir()
            (tmp_path / "other" / "instance").write_text((tmp_path / "one" / "instance").read_text())
        with Agent(quick, tmp_path / "other", node):
            quick.wait_until(lambda: "report as" in notices(person, node))
    assert ("clone of the other" in notices(person, node)) == is_clone
    assert "--node NAME" in notices(person, node)


def test_a_removed_node_whose_agent_runs_is_a_new_one_within_two_pings(
    quick: Platform, person: httpx.Client, tmp_path: Path
) -> None:
    with Agent(quick, tmp_path, "phoenix", "--label", "env=test"):
        quick.wait_until(lambda: types(quick, "phoenix") == ["node_registered"])
        time.sleep(3)
        first = events(quick, "phoenix")[0]
        assert person.post("/nodes/phoenix").status_code == 303
        quick.wait_until(lambda: types(quick, "phoenix") == ["node_registered"], 5)
        second = events(quick, "phoenix")[0]
        assert second["at"] > first["at"]
        # A snapshot may have been first; what the agent says of itself comes with its next ping.
        quick.wait_until(
            lambda: any(one["payload"].get("labels") == {"env": "test"} for one in events(quick, "phoenix"))
        )


def test_an_open_page_tells_and_shades_what_happens(quick: Platform, person: httpx.Client, tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    (cookie,) = [one for one in person.cookies.jar if "metrist_session" in one.name]
    with sync_playwright() as playwright, Agent(quick, tmp_path, "seen") as agent:
        quick.wait_until(lambda: len(quick.get("/api/v1/metrics", params={"node": "seen"}).json()["series"]) > 20)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": quick.url}])
        page = context.new_page()
        page.goto(f"{quick.url}/nodes/seen?range=5m")
        expect(page.locator("#share")).to_have_text("online 100%")
        shade = "() => getComputedStyle(document.querySelector('.plot .canvas')).backgroundImage"
        assert page.evaluate(shade) == "none"
        agent.stop(signal.SIGKILL)
        expect(page.locator("#state")).to_have_text("offline", timeout=30_000)
        expect(page.locator(".events li").first).to_contain_text("Offline")
        expect(page.locator("#share")).not_to_have_text("online 100%")
        page.wait_for_function(f"({shade})().includes('gradient')")
        page.locator("[data-bands]").click()
        assert page.evaluate(shade) == "none"
        page.reload()
        expect(page.locator("[data-bands]")).to_have_attribute("aria-pressed", "false")
        browser.close()
