"""Chromium follows a condition from its graph to its end: a real agent under load, a webhook, e-mails, and why."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import standardwebhooks
from playwright.sync_api import Page, expect

from tests.e2e.platforms import Platform
from tests.e2e.telling import confirm, mails, make_mailbox, make_webhook, page, platform, text_of
from tests.mail_server import MailServer
from tests.receiver import Receiver, receiver

__all__ = ["mails", "page", "platform", "receiver"]
METRIC = "process.threads"
THREADS, ABOVE = 900, 450
SOON_MS, WITHIN_S = 60_000, 60
LOAD = """
import sys, threading
threading.stack_size(65536)
done = threading.Event()
for _ in range(int(sys.argv[1])): threading.Thread(target=done.wait, daemon=True).start()
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def load() -> Iterator[None]:
    """A program on this machine with more threads than it should have."""
    command = [sys.executable, "-c", LOAD, str(THREADS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "up\n"
            yield
        finally:
            process.kill()


def threads_now(platform: Platform) -> float:
    """What the agent has said last."""
    asked = {"metric": METRIC, "from": "now-5m", "points": "10"}
    platform.wait_until(lambda: METRIC in platform.get("/api/v1/metrics").text, WITHIN_S)
    (series, *_) = platform.get("/api/v1/series", params=asked).json()["series"]
    return float(series["avg"][-1])


def test_an_incident_is_seen_told_and_explained(
    page: Page, platform: Platform, mails: MailServer, receiver: Receiver
) -> None:
    secret = make_webhook(page, platform, "on call", receiver.url)
    confirm(page, make_mailbox(page, platform, mails, "operations", "ops@example.org"))
    limit = int(threads_now(platform)) + ABOVE

    page.goto(f"{platform.url}/explore?A={METRIC}&A.by=node&A.over=last")
    expect(page.locator(".plot.drawn").first).to_be_visible(timeout=SOON_MS)
    page.locator("details", has=page.locator("[data-share=condition]")).locator("summary").click()
    page.locator("[data-share=condition]").click()
    page.wait_for_url("**/conditions/new?**")
    page.get_by_role("textbox", name="Name").fill("Too many threads")
    page.get_by_role("textbox", name="Limit").fill(str(limit))
    page.locator("select[name=window_s]").select_option("30")
    page.get_by_text("Silence, message").click()
    page.locator("select[name=every_s]").select_option("2")
    page.get_by_role("textbox", name="Message").fill("{{ labels.node }} has {{ value }} of them")
    expect(page.locator("#backtest")).to_contain_text("0 notices", timeout=SOON_MS)
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("status").filter(has_text="It is judged from now on")).to_be_visible()

    page.goto(f"{platform.url}/conditions")
    row = page.locator("tr[data-group]", has_text="Too many threads")
    with load():
        expect(row.locator(".status[data-state=firing]")).to_be_visible(timeout=SOON_MS)
        (fired,) = receiver.wait_for(1, WITHIN_S)
        told = standardwebhooks.Webhook(secret).verify(fired.body, fired.headers)
        (notice,) = told["data"]["notices"]
        assert (told["type"], notice["condition"]["name"]) == ("notice.firing", "Too many threads")
        assert notice["value"] > limit and notice["summary"].endswith("of them")
        letter = mails.wait_for(2, WITHIN_S)[1]
        assert "Too many threads" in letter["Subject"] and "of them" in text_of(letter)
        assert [part.get_content_type() for part in letter.walk() if part.get_content_maintype() == "image"] == [
            "image/png"
        ]
        assert letter["List-Unsubscribe"]
        page.goto(f"{platform.url}/nodes")
        expect(page.locator("#nodes .mark[data-kind=firing]")).to_have_text("1 firing")
        page.goto(f"{platform.url}/conditions")
        row.get_by_label("A note").fill("looking into it")
        row.get_by_role("button", name="Acknowledge").click()
        expect(row).to_contain_text("is on it: “looking into it”")
        expect(row.get_by_role("button", name="Acknowledge")).to_have_count(0)

    expect(page.get_by_role("heading", name="All is ok")).to_be_visible(timeout=SOON_MS)
    over = receiver.wait_for(2, WITHIN_S)[1].json
    assert over["type"] == "notice.resolved" and over["data"]["notices"][0]["incident"] == notice["incident"]
    end = mails.wait_for(3, WITHIN_S)[2]
    assert (end["References"], end["Subject"]) == (letter["References"], letter["Subject"])

    page.get_by_role("link", name="Too many threads").first.click()
    timeline = page.locator("#timeline")
    expect(timeline).to_contain_text("is ok again")
    timeline.locator("li", has_text=re.compile("fires")).get_by_role("link", name="Why?").click()
    main = page.locator("main")
    expect(main).to_contain_text(f"last value of {METRIC} over 30 s is above")
    expect(main).to_contain_text(re.compile(r"on call.*sent.*answered 204", re.DOTALL))
    expect(main).to_contain_text(re.compile(r"operations.*sent", re.DOTALL))
    expect(page.locator("#chart .plot.drawn")).to_be_visible()


def test_nodes_are_watched_by_a_form_without_a_metric(platform: Platform, page: Page) -> None:
    page.goto(f"{platform.url}/conditions/new?about=nodes")
    expect(page.locator("input[name=metric]")).to_be_hidden()
    page.get_by_role("textbox", name="Name").fill("Somebody is gone")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("main")).to_contain_text("Fires when a node is offline")
