"""Checks of the settings: what can be seen from them alone, or by asking who they name."""

import smtplib
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from metrist.doctor.finding import Finding, good, problem, skipped, warning
from metrist.doctor.patient import WITHIN_S, Patient
from metrist.environment import without_password
from workers.mail import Server, parse_server

SCHEMES = {
    "clickhouse_url": ("http", "https"),
    "redis_url": ("redis", "rediss", "unix"),
    "database_url": ("sqlite", "postgresql"),
}
KEY_LEAST_CHARS = 32
DISCOVERY = "/.well-known/openid-configuration"
_HERE = ("127.0.0.1", "localhost", "::1")


def addresses(patient: Patient) -> Iterator[Finding]:
    """Of the stores: schemes that we speak, and hosts."""
    for name, schemes in SCHEMES.items():
        url = getattr(patient.settings, name)
        parts = urlsplit(url.get_secret_value())
        setting = f"METRIST_{name.upper()}"
        if parts.scheme.partition("+")[0] not in schemes:
            choices = ", ".join(f"{scheme}://" for scheme in schemes)
            yield problem(f"{setting} is {without_password(url)}", f"let it begin with one of {choices}")
        elif parts.scheme == "http" and parts.hostname not in _HERE and "." in (parts.hostname or ""):
            yield warning(
                f"{setting} carries a password to {parts.hostname} in the clear",
                "use https://, or a network that only these machines are on",
            )
        else:
            yield good(f"{setting} is {without_password(url)}")


def public_address(patient: Patient) -> Iterator[Finding]:
    """METRIST_PUBLIC_URL: what links in mails and the cookies' Secure go by. It is asked, too."""
    settings = patient.settings
    url = settings.base_url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        yield problem(
            f"METRIST_PUBLIC_URL is {url}", "let it be http(s)://HOST or http(s)://HOST:PORT and nothing behind"
        )
        return
    if not settings.public_url and settings.host not in _HERE:
        yield warning(
            f"links say {url}, but we listen on {settings.host}", "set METRIST_PUBLIC_URL to what people type"
        )
    try:
        answer = httpx.get(f"{url}/healthz", timeout=WITHIN_S, trust_env=False)
    except httpx.HTTPError as error:
        yield skipped(f"{url} does not answer from here: {type(error).__name__}")
        return
    to = urlsplit(answer.headers.get("location", ""))
    if parts.scheme == "http" and answer.is_redirect and to.scheme == "https":
        yield problem(
            f"{url} leads on to https://, so cookies are sent without Secure and links are wrong",
            f"set METRIST_PUBLIC_URL=https://{to.hostname or parts.hostname}",
        )
    elif answer.status_code != 200 or answer.text != '{"status":"ok"}':
        yield problem(
            f"{url}/healthz is answered by something else ({answer.status_code})",
            "let the proxy hand on every path to the API, or mend METRIST_PUBLIC_URL",
        )
    elif parts.scheme == "http" and parts.hostname not in _HERE:
        yield warning(
            f"{url} is not encrypted: keys and sessions can be read on their way",
            "put a proxy with a certificate in front, and set METRIST_PUBLIC_URL=https://…",
        )
    else:
        yield good(f"{url} is us")


def secret_key(patient: Patient) -> Iterator[Finding]:
    """What seals the secrets of channels, and signs what a browser keeps while it signs in."""
    settings = patient.settings
    key = settings.secret_key.get_secret_value()
    is_shared = urlsplit(settings.database_url.get_secret_value()).scheme.startswith("postgresql")
    if key and len(key) < KEY_LEAST_CHARS:
        yield warning(
            f"METRIST_SECRET_KEY has {len(key)} characters", "draw one: openssl rand -base64 32; what is sealed is lost"
        )
    elif not key and is_shared:
        yield warning(
            "METRIST_SECRET_KEY is not set: the key is in the control DB, beside what it seals",
            "draw one (openssl rand -base64 32) and set it for every process alike, before channels are made",
        )
    else:
        yield good("the secret key is set" if key else "the secret key is in the control DB, on this machine alone")


def sign_in(patient: Patient) -> Iterator[Finding]:
    """Providers: a public address for their callback, and an issuer that answers as itself."""
    settings = patient.settings
    if not (settings.github_client_id or settings.oidc_issuer):
        yield skipped("no provider is set; people come in by one-time links")
        return
    if not settings.public_url:
        yield problem(
            "a provider is set, but METRIST_PUBLIC_URL is not: the provider would send people to another address",
            "set METRIST_PUBLIC_URL, and register METRIST_PUBLIC_URL/sign-in/…/callback with the provider",
        )
    if settings.oidc_issuer:
        yield _issuer(settings.oidc_issuer)
    if settings.github_client_id:
        yield good(f"GitHub is asked at {settings.github_url}")


def mail(patient: Patient) -> Iterator[Finding]:
    """The mail server: reached, encrypted, and it knows us."""
    url = patient.settings.smtp_url.get_secret_value()
    if not url:
        yield skipped("no mail server is set; channels send webhooks only")
        return
    try:
        server = parse_server(url)
    except ValueError as error:
        yield problem(str(error), "smtp://user:password@host:587, or smtps://user:password@host:465")
        return
    try:
        _greet(server)
    except smtplib.SMTPNotSupportedError:
        yield problem(
            f"{server.host}:{server.port} offers no STARTTLS",
            "use smtps://…:465, or ?tls=none if the way there is safe",
        )
    except smtplib.SMTPAuthenticationError as error:
        yield problem(
            f"{server.host} does not take user and password ({error.smtp_code})", "mend them in METRIST_SMTP_URL"
        )
    except ssl.SSLError as error:
        yield problem(
            f"the TLS of {server.host}:{server.port} fails: {error.reason or error}",
            "name the host as its certificate does, or install its authority's certificate",
        )
    except (smtplib.SMTPException, OSError) as error:
        yield problem(
            f"{server.host}:{server.port} is not reached: {error}", "mend METRIST_SMTP_URL, or open the firewall"
        )
    else:
        yield good(f"{server.host}:{server.port} takes mail from us ({server.tls})")


def _issuer(issuer: str) -> Finding:
    try:
        told = httpx.get(f"{issuer.rstrip('/')}{DISCOVERY}", timeout=WITHIN_S, follow_redirects=False).json()
    except (httpx.HTTPError, ValueError) as error:
        return problem(f"{issuer} gives no discovery document: {type(error).__name__}", "mend METRIST_OIDC_ISSUER")
    named = told.get("issuer") if isinstance(told, dict) else None
    if named != issuer:
        return problem(f"{issuer} calls itself {str(named)[:200]}", "set METRIST_OIDC_ISSUER to exactly that")
    return good(f"{issuer} answers as itself")


def _greet(server: Server) -> None:
    """Sign in and leave. Raises SMTPException, OSError."""
    context = ssl.create_default_context()
    session = (
        smtplib.SMTP_SSL(server.host, server.port, timeout=WITHIN_S, context=context)
        if server.tls == "tls"
        else smtplib.SMTP(server.host, server.port, timeout=WITHIN_S)
    )
    with session:
        if server.tls == "starttls":
            session.starttls(context=context)
        if server.user:
            session.login(server.user, server.password)
        session.noop()
