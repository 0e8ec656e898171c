"""A platform that may tell: an agent, receivers on loopback allowed, a mail server; and a browser that is signed in."""

import re
from collections.abc import Iterator
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest
import trustme
from playwright.sync_api import Browser, Page, expect

from tests.e2e.platforms import Platform, start_platform
from tests.mail_server import MailServer, receiving_mails


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
    started = start_platform(tmp_path_factory.mktemp("telling"), "--agent", env=env)
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
    page.locator("input[name=name]").fill(name)
    page.locator("[name=url]").fill(url)
    page.get_by_role("button", name="Make the channel").click()
    return page.locator("#secret").inner_text()


def make_mailbox(page: Page, platform: Platform, mails: MailServer, name: str, address: str) -> str:
    """Make one on the page; returns the link that it is confirmed by."""
    page.goto(f"{platform.url}/channels?kind=email")
    page.locator("input[name=name]").fill(name)
    page.get_by_label("E-mail address").fill(address)
    page.get_by_role("button", name="Make the channel").click()
    (question,) = mails.wait_for(1, 60)
    (link,) = re.findall(r"https?://\S+/mail/confirm/\S+", text_of(question))
    return platform.url + urlsplit(link).path


def confirm(page: Page, link: str) -> None:
    """As whoever reads the e-mail does."""
    page.goto(link)
    page.get_by_role("button", name="Yes, send them").click()
    expect(page.get_by_role("heading", name="You will be told")).to_be_visible()


def text_of(mail: EmailMessage) -> str:
    """What an e-mail says in plain text."""
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content())
