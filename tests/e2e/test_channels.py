"""Chromium and `metrist up`: make a channel, test it, see each try; confirm an address from the e-mail itself."""

import re
import time

import standardwebhooks
from playwright.sync_api import Browser, Page, expect

from tests.e2e.platforms import Platform
from tests.e2e.telling import confirm, mails, make_mailbox, make_webhook, page, platform
from tests.mail_server import MailServer
from tests.receiver import Receiver, receiver

__all__ = ["mails", "page", "platform", "receiver"]
SHOWN_WITHIN_MS = 15_000
SENT_WITHIN_S = 5


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
    page.locator("input[name=name]").fill("metadata")
    page.locator("[name=url]").fill("http://169.254.169.254/latest/meta-data")
    with page.expect_response(lambda answer: answer.status == 422):
        make.click()
    expect(page.get_by_role("alert")).to_contain_text("METRIST_EGRESS_ALLOW")
    expect(page.locator("input[name=name]")).to_have_value("metadata")


def test_an_address_is_confirmed_from_its_mail(
    page: Page, platform: Platform, mails: MailServer, browser: Browser
) -> None:
    link = make_mailbox(page, platform, mails, "operations", "ops@example.org")
    stranger = browser.new_context()
    confirm(stranger.new_page(), link)
    stranger.close()
    page.reload()
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator("#delivery")).to_have_attribute("data-state", "sent", timeout=SHOWN_WITHIN_MS)
    assert mails.wait_for(2)[1]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
