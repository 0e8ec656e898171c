"""HTTP, TCP and TLS for monitors: short, bounded, and not to where a cloud hands out a machine's secrets."""

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Mapping, Set
from typing import Any
from urllib.parse import urlsplit

from agent.client import Deadline
from agent.config import VERSION
from agent.monitors.certificate import expires_at
from agent.sandbox import Refused, Unable

TIMEOUT_S = 10.0
BODY_MAX_BYTES = 262_144
HEADERS_MAX = 50
OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"})
"""Headers that say how we speak HTTP, which is not a monitor's to say."""
HEADER, VALUE = re.compile(r"[A-Za-z0-9_-]{1,64}"), re.compile(r"[\t -~]{0,4096}")
PORTS = {"http": 80, "https": 443}


def get(args: Mapping[str, Any], until_s: float, only: Set[str]) -> dict[str, Any]:
    """One GET, no redirects followed: `status`, `headers` (lower case), `body`, `truncated`, `took_ms`.

    only  hosts (or host:port) that are allowed; empty for all but link-local addresses
    """
    url = urlsplit(str(args["url"]))
    host, port = url.hostname or "", url.port or PORTS.get(url.scheme, 0)
    if not host or not port or url.username is not None:
        raise Unable(f"{args['url']!r} is no address; write http://HOST/PATH or https://HOST/PATH")
    target = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    began_s = time.monotonic()
    left_s = _left_s(args, until_s)
    with _connected(host, port, began_s + left_s, only) as sock:
        deadline = Deadline(sock, left_s)
        deadline.start()
        try:
            secure = _secured(sock, host, ssl.create_default_context()) if url.scheme == "https" else sock
            with secure:
                answer = _exchange(secure, url.netloc, target, _headers(args.get("headers")))
        except (OSError, http.client.HTTPException) as error:
            raise Unable("no answer in time" if deadline.has_passed else _reason(error)) from error
        finally:
            deadline.cancel()
    return {**answer, "took_ms": 1000 * (time.monotonic() - began_s)}


def check(args: Mapping[str, Any], until_s: float, only: Set[str]) -> float:
    """Connect and hang up: the milliseconds it took."""
    began_s = time.monotonic()
    _connected(str(args["host"]), int(args["port"]), began_s + _left_s(args, until_s), only).close()
    return 1000 * (time.monotonic() - began_s)


def expiry(args: Mapping[str, Any], until_s: float, only: Set[str]) -> dict[str, Any]:
    """When a server's certificate ends: `expires_at` (Unix s), `expires_in_s`, `trusted`, and a `problem` if not."""
    host, port, by_s = str(args["host"]), int(args["port"]), time.monotonic() + _left_s(args, until_s)
    problem = ""
    try:
        der = _certificate(host, port, by_s, only, ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:  # its date is wanted all the more
        problem = error.verify_message
        lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        lenient.check_hostname, lenient.verify_mode = False, ssl.CERT_NONE
        der = _certificate(host, port, by_s, only, lenient)
    ends_s = expires_at(der)
    told = {"expires_at": ends_s, "expires_in_s": ends_s - time.time(), "trusted": not problem}
    return told | ({"problem": problem} if problem else {})


def _exchange(sock: socket.socket, host: str, target: str, headers: Mapping[str, str]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host)
    connection.sock = sock
    connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": host, "User-Agent": f"metrist-monitor/{VERSION}", **headers}.items():
        connection.putheader(name, value)
    connection.putheader("Connection", "close")
    connection.endheaders()
    response = connection.getresponse()
    body = response.read(BODY_MAX_BYTES + 1)
    return {
        "status": response.status,
        "headers": {name.lower(): value for name, value in response.getheaders()[:HEADERS_MAX]},
        "body": body[:BODY_MAX_BYTES].decode(errors="replace"),
        "truncated": len(body) > BODY_MAX_BYTES,
    }


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        return {}
    headers = {str(name): str(value) for name, value in given.items()}
    for name, value in headers.items():
        if name.lower() in OURS or not HEADER.fullmatch(name) or not VALUE.fullmatch(value):
            raise Unable(f"the header {name[:60]!r} is not a monitor's to set")
    return headers


def _certificate(host: str, port: int, by_s: float, only: Set[str], context: ssl.SSLContext) -> bytes:
    with _connected(host, port, by_s, only) as sock, _secured(sock, host, context) as secure:
        return secure.getpeercert(binary_form=True) or b""


def _secured(sock: socket.socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(sock, server_hostname=host)


def _connected(host: str, port: int, by_s: float, only: Set[str]) -> socket.socket:
    """Connected to one of the host's addresses, each checked before; raises OSError, Refused or Unable."""
    is_named = host.lower() in only or f"{host.lower()}:{port}" in only
    if only and not is_named:
        raise Refused(f"this node allows only {', '.join(sorted(only))}, not {host}:{port}")
    problem: Exception = Unable(f"{host} has no address")
    for family, kind, protocol, _, address in _addresses(host, port):
        if not is_named and ipaddress.ip_address(str(address[0]).partition("%")[0]).is_link_local:
            raise Refused(f"{host} is a link-local address; allow it by its name if that is meant")
        left_s = by_s - time.monotonic()
        if left_s <= 0:
            raise Unable("no answer in time")
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = Unable(_reason(error))
        else:
            return sock
    raise problem


def _addresses(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unable(f"{host} cannot be resolved: {_reason(error)}") from error


def _left_s(args: Mapping[str, Any], until_s: float) -> float:
    """The seconds this may take: as asked, and within the run."""
    asked_s = args.get("timeout")
    asked_s = float(asked_s) if isinstance(asked_s, int | float) and asked_s > 0 else TIMEOUT_S
    left_s = min(asked_s, until_s - time.monotonic() - 0.1)  # so that the monitor still hears of it
    if left_s <= 0:
        raise Unable("no time is left")
    return left_s


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
