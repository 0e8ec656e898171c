"""A site whose sign-in page has providers, and the ways through it; the provider is tests/oauth_server.py."""

import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from sqlalchemy import select

from domain.accounts import Role
from domain.settings import Settings
from schema import invitations, sessions, users
from schema.control.engine import reading
from schema.control.tables import events
from schema.sessions import Person as User
from tests.integration.pages.site import HTML, Site, free_port, new_tenant
from tests.oauth_server import CLIENT_ID, CLIENT_SECRET, OAuthServer

ids = iter(range(5_000, 1_000_000))


@dataclass
class Door:
    """A site whose sign-in page has providers, and the provider behind them."""

    site: Site
    provider: OAuthServer

    def browser(self, session: str | None = None) -> httpx.Client:
        return self.site.client(session, **HTML)

    def user_of(self, browser: httpx.Client) -> User | None:
        session = browser.cookies.get("metrist_session", domain="127.0.0.1")
        return sessions.find_person(self.site.control, session, datetime.now(UTC)) if session else None


def with_providers(settings: Settings, provider: OAuthServer, folder: Path, **update: Any) -> Settings:
    secret = SecretStr(CLIENT_SECRET)
    github = {"github_client_id": CLIENT_ID, "github_client_secret": secret, "github_url": provider.url}
    oidc = {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": secret}
    return settings.model_copy(update={**github, **oidc, "port": free_port(), "spool_dir": folder, **update})


def leave(browser: httpx.Client, provider: str = "github", **form: str) -> str:
    """Press the button; where the page that answers sends the browser."""
    answer = browser.post(f"/sign-in/{provider}", data=form)
    assert answer.status_code == 200, answer.text
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.text)
    assert found
    return html.unescape(found[1])


def agree(url: str) -> str:
    """Let the provider send the browser back; the path and query it comes back with."""
    answer = httpx.get(url, trust_env=False, verify=False)
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


def sign_in(browser: httpx.Client, provider: str = "github", **form: str) -> httpx.Response:
    return browser.get(agree(leave(browser, provider, **form)))


def connect(browser: httpx.Client, provider: str = "github") -> httpx.Response:
    return sign_in(browser, provider, connect="true", next="/settings/you")


def invite(door: Door) -> str:
    tenant = new_tenant(door.site, f"host-{next(ids)}")
    host = users.find_by_email(door.site.control, tenant.email)
    assert host
    made = invitations.create(door.site.control, tenant.account_id, Role.VIEWER, "", datetime.now(UTC), by=host.id)
    return f"/invite/{made.token}"


def types_of(door: Door, stream: str) -> list[str]:
    with reading(door.site.control) as conn:
        return list(conn.scalars(select(events.c.type).where(events.c.stream.like(stream)).order_by(events.c.seq)))
