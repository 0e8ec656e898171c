"""Sends an e-mail through the operator's server, within a deadline."""

import smtplib
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from workers.egress import Answer

TIMEOUT_S: Final = 6.0
"""For each of the server's answers; a session has about eight."""
_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
Tls = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Server:
    """METRIST_SMTP_URL taken apart."""

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port})"


def parse_server(url: str) -> Server:
    """Raises ValueError for what is no smtp:// or smtps:// address."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("METRIST_SMTP_URL begins with smtp:// or smtps:// and names a host")
    tls: Tls = "tls" if parts.scheme == "smtps" else "starttls"
    if parse_qs(parts.query).get("tls") == ["none"]:
        tls = "none"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(parts.hostname, parts.port or _PORTS[tls], tls, user, password)


def send(url: str, mail: EmailMessage) -> Answer:
    """Hand one e-mail to the server; whatever goes wrong becomes an Answer."""
    began_s = time.monotonic()

    def took_ms() -> int:
        return int((time.monotonic() - began_s) * 1000)

    try:
        _send(parse_server(url), mail)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        return Answer(code, took_ms(), f"the address was refused: {_text(said)}")
    except smtplib.SMTPResponseException as error:
        return Answer(error.smtp_code, took_ms(), f"the server refused: {_text(error.smtp_error)}")
    except TimeoutError:
        return Answer(None, took_ms(), f"the mail server did not answer within {TIMEOUT_S:g} s")
    except ssl.SSLError as error:
        return Answer(None, took_ms(), f"the mail server's TLS failed: {error.reason or error}"[:200])
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return Answer(None, took_ms(), f"the mail server was not reached: {error}"[:200])
    return Answer(250, took_ms())


def _send(server: Server, mail: EmailMessage) -> None:
    context = ssl.create_default_context()
    secure = server.tls == "tls"
    connection = (
        smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
        if secure
        else smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
    )
    with connection as session:
        if server.tls == "starttls":
            session.starttls(context=context)  # raises when the server does not offer it: never in the clear
        if server.user:
            session.login(server.user, server.password)
        session.send_message(mail, from_addr=parseaddr(mail["From"])[1])


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:200]
