"""A small real mail server: with TLS from the start, STARTTLS or neither, and it may refuse."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "metrist", "a password: @/?"


@dataclass
class MailServer:
    """What came, and what to answer to it."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answer: str = "250 OK"
    refuses: str = ""
    logins: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            found = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
            assert isinstance(found, EmailMessage)
            self.mails.append(found)
            self.recipients += envelope.rcpt_tos
        return self.answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins += 1
        is_right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=not is_right, message=None if is_right else "535 5.7.8 No")

    def wait_for(self, count: int, within_s: float = 15) -> list[EmailMessage]:
        until_s = time.monotonic() + within_s
        while len(self.mails) < count:
            if time.monotonic() > until_s:
                pytest.fail(f"{len(self.mails)} of {count} e-mails came within {within_s} s")
            time.sleep(0.02)
        return list(self.mails)


@contextmanager
def receiving_mails(authority: trustme.CA, tls: Literal["starttls", "tls", "none"]) -> Iterator[MailServer]:
    """On loopback until the block ends; with TLS, only who has signed in may send."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = MailServer()
    secured = {"require_starttls": True, "tls_context": context} if tls == "starttls" else {}
    guarded = {"authenticator": server.authenticate, "auth_required": True, "auth_require_tls": tls == "starttls"}
    controller = _Controller(
        server,
        hostname="127.0.0.1",
        port=0,
        ssl_context=context if tls == "tls" else None,
        **secured,
        **(guarded if tls != "none" else {}),
    )
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()


class _Controller(Controller):
    """On a port that the system chooses, which the parent class does not ask for before it connects."""

    def _trigger_server(self) -> None:
        assert self.server
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
