"""A running API with its pages for tests: real stores, uvicorn in a thread, accounts with people signed in."""

import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from api.app import create_app
from domain.accounts import Role
from domain.ids import AccountId
from domain.settings import Settings
from metrist.protocol import Protocol
from schema import accounts, api_keys, memberships, sessions, users

HOSTILE = """<img src=x onerror=alert(1)>"'{{777*143}}</script>"""
HTML = {"accept": "text/html"}
WITHIN_S = 15


@dataclass
class Site:
    """A running API with its pages, and what a test needs to act behind them."""

    url: str
    app: FastAPI
    settings: Settings
    control: Engine

    def client(self, session: str | None = None, **headers: str) -> httpx.Client:
        """A browser, signed in or not; it speaks no TLS, and reading certificates would take it 40 ms."""
        cookies = {"metrist_session": session} if session else {}
        return httpx.Client(
            base_url=self.url, cookies=cookies, headers=headers, timeout=WITHIN_S, trust_env=False, verify=False
        )


@dataclass
class Tenant:
    """An account with one person signed in and one key."""

    account_id: AccountId
    email: str
    session: str
    key: str


class serving:
    """The application under uvicorn, in a thread of its own until the block ends."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        config = uvicorn.Config(
            self.app, http=Protocol, port=settings.port, log_level="error", ws="none", timeout_graceful_shutdown=2
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> FastAPI:
        self.thread.start()
        deadline_s = time.monotonic() + WITHIN_S
        while not self.server.started and time.monotonic() < deadline_s:
            time.sleep(0.02)
        return self.app

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()


def new_tenant(site: Site, name: str) -> Tenant:
    now = datetime.now(UTC)
    email = f"{name}@example.org"
    account = accounts.create(site.control, name, email, now)
    session = sessions.redeem(site.control, new_link(site, email), now)
    assert session
    key = api_keys.create(site.control, account.id, "agent", ["ingest", "read"], now)
    return Tenant(account.id, email, session, key.secret)


def new_member(site: Site, tenant: Tenant, role: Role) -> str:
    """The session of one more person who looks at this account."""
    person = new_tenant(site, f"{role}-{time.time_ns()}")
    user = users.find_by_email(site.control, person.email)
    assert user
    memberships.grant(site.control, tenant.account_id, user.id, role, datetime.now(UTC), actor="system")
    sessions.choose(site.control, person.session, tenant.account_id)
    return person.session


def new_link(site: Site, email: str) -> str:
    user = users.find_by_email(site.control, email)
    assert user
    return sessions.create_link(site.control, user.id, datetime.now(UTC), 60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
