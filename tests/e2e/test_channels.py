"""Chromium and `metrist up`: make a channel, test it, see each try; confirm an address from the e-mail itself."""

import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import standardwebhooks
import trustme
from playwright.sync_api import Browser, Page, expect

from tests.e2e.platforms import Platform, start_platform
from tests.mail_server import MailServer, receiving_mails
from tests.receiver import Receiver, receiver

__all__ = ["receiver"]
SHOWN_WITHIN_MS = 15_000
SENT_WITHIN_S = 5


@pytest.fixture(scope="module")
def mails() -> Iterator[MailServer]:
    with receiving_mails(trustme.CA(), "none") as server:
        yield server


@pytest.fixture(scope="module")
def platform(mails: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {
        "METRIST_EGRESS_ALLOW": "127.0.0.1",
        "METRIST_SMTP_URL": f"smtp://127.0.0.1:{mails.port}?tls=none",
        "METRIST_SMTP_FROM": "Metrist <metrist@example.org>",
    }
    started = start_platform(tmp_path_factory.mktemp("channels"), env=env)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    """Signed in; whatever the browser complains of fails the test."""
    context, complaints = browser.new_context(viewport={"width": 1280, "height": 900}), []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    opened = context.new_page()
    opened.goto(platform.sign_in_url)
    opened.get_by_role("button", name=re.compile("Sign in|Continue")).first.click()
    yield opened
    context.close()
    assert [said for said in complaints if "422" not in said] == []  # a refused form is one for Chromium


def make_webhook(page: Page, platform: Platform, name: str, url: str) -> str:
    """Make one on the page; returns its signing secret."""
    page.goto(f"{platform.url}/channels")
    page.get_by_label("Name").fill(name)
    page.locator("[name=url]").fill(url)
    page.get_by_role("button", name="Make the channel").click()
    return page.locator("#secret").inner_text()


def test_a_webhook_is_made_tested_and_seen(page: Page, platform: Platform, receiver: Receiver) -> None:
    secret = make_webhook(page, platform, "on call", f"{receiver.url}/hook")
    page.get_by_role("button", name="Send it a test").click()
    began_s = time.monotonic()
    (came,) = receiver.wait_for(1, SENT_WITHIN_S)
    assert time.monotonic() - began_s < SENT_WITHIN_S
    assert standardwebhooks.Webhook(secret).verify(came.body, came.headers)
    delivery = page.locator("#delivery")
    expect(delivery).to_have_attribute("data-state", "sent", timeout=SHOWN_WITHIN_MS)
    expect(delivery.get_by_role("row")).to_have_count(2)
    expect(delivery.get_by_role("row").last).to_contain_text(re.compile(r"204.* ms.*taken", re.DOTALL))
    page.goto(f"{platform.url}/channels")
    assert secret not in page.content()


def test_what_fails_shows_each_try(page: Page, platform: Platform, receiver: Receiver) -> None:
    make_webhook(page, platform, "shaky", receiver.url)
    receiver.script = [500]
    page.get_by_role("button", name="Send it a test").click()
    delivery = page.locator("#delivery")
    expect(delivery).to_contain_text("answered 500", timeout=SHOWN_WITHIN_MS)
    expect(delivery).to_have_attribute("data-state", "sent", timeout=SHOWN_WITHIN_MS)  # five seconds later
    expect(delivery.get_by_role("row")).to_have_count(3)
    ids = {came.headers["webhook-id"] for came in receiver.received}
    assert len(receiver.received) == 2 and len(ids) == 1
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#delivery")).to_have_attribute("data-state", "sent", timeout=SHOWN_WITHIN_MS)
    page.goto(f"{platform.url}/deliveries")
    expect(page.get_by_role("table").get_by_text("shaky")).to_have_count(2)


def test_a_webhook_to_our_own_stores_is_not_even_made(page: Page, platform: Platform) -> None:
    make = page.get_by_role("button", name="Make the channel")
    page.goto(f"{platform.url}/channels")
    page.get_by_label("Name").fill("metadata")
    page.locator("[name=url]").fill("http://169.254.169.254/latest/meta-data")
    with page.expect_response(lambda answer: answer.status == 422):
        make.click()
    expect(page.get_by_role("alert")).to_contain_text("METRIST_EGRESS_ALLOW")
    expect(page.get_by_label("Name")).to_have_value("metadata")


def test_an_address_is_confirmed_from_its_mail(
    page: Page, platform: Platform, mails: MailServer, browser: Browser
) -> None:
    page.goto(f"{platform.url}/channels?kind=email")
    page.get_by_label("Name").fill("operations")
    page.get_by_label("E-mail address").fill("ops@example.org")
    page.get_by_role("button", name="Make the channel").click()
    (question,) = mails.wait_for(1)
    body = question.get_body(("plain",))
    assert body
    (link,) = re.findall(r"https?://\S+/mail/confirm/\S+", body.get_content())
    stranger = browser.new_context()
    reader = stranger.new_page()
    reader.goto(platform.url + urlsplit(link).path)
    reader.get_by_role("button", name="Yes, send them").click()
    expect(reader.get_by_role("heading", name="You will be told")).to_be_visible()
    stranger.close()
    page.reload()
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator("#delivery")).to_have_attribute("data-state", "sent", timeout=SHOWN_WITHIN_MS)
    assert mails.wait_for(2)[1]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
