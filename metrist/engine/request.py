"""What an HTTP request asks of ClickHouse, read from its URL and headers as ClickHouse's HTTPHandler reads them."""

import base64
import binascii
import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from metrist.engine.codecs import FASTEST, choose
from metrist.engine.errors import EngineError

MAX_SESSION_TIMEOUT_S = 3600
SESSION_TIMEOUT_S = 60
"""ClickHouse's defaults."""

OURS = frozenset(
    {
        # parameters that ClickHouse reserves
        *("query", "database", "default_format", "user", "password", "quota_key", "query_id", "stacktrace", "role"),
        *("compress", "decompress", "buffer_size", "wait_end_of_query", "client_protocol_version"),
        *("session_id", "session_timeout", "session_check", "close_session"),
        # settings that only an HTTP server has a use for
        *("enable_http_compression", "http_zlib_compression_level", "http_response_buffer_size"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms", "http_wait_end_of_query"),
        *("cancel_http_readonly_queries_on_client_close", "http_write_exception_in_output_format"),
        *("log_comment", "add_http_cors_header", "http_max_uri_size", "http_send_timeout", "http_receive_timeout"),
    }
)
"""Parameters that never become a setting of chDB."""
_LETTERS = bytes(b"abcdefghijklmnopqrstuvwxyz"[byte % 26] for byte in range(256))


@dataclass(frozen=True)
class Credentials:
    """The one user this server has; compared in constant time."""

    username: str
    password: str

    def match(self, username: str, password: str) -> bool:
        """Both, always both."""
        same_user = hmac.compare_digest(username.encode(), self.username.encode())
        same_password = hmac.compare_digest(password.encode(), self.password.encode())
        return same_user and same_password


@dataclass(frozen=True)
class Session:
    """A client's session: what it sets and its temporary tables last until nobody has asked for `timeout_s`."""

    name: str
    timeout_s: int
    must_exist: bool
    ends: bool


@dataclass(frozen=True)
class Request:
    """One request. `query` is the URL's part of the statement, the body is the rest."""

    method: str
    path: str
    headers: Mapping[str, str]
    args: Mapping[str, str]
    query: bytes = b""
    database: str = ""
    format: str = "TabSeparated"
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    query_id: str = ""
    exception_tag: str = ""
    session: Session | None = None
    content_encoding: str = ""
    accept_encoding: str = ""
    level: int = FASTEST
    waits_for_end: bool = False

    def authenticate(self, owner: Credentials) -> None:
        """Check who asks, by headers, Basic or the URL, never two of them. Raises EngineError."""
        username, password = self._credentials()
        if not owner.match(username, password):
            raise EngineError(
                516,
                "AUTHENTICATION_FAILED",
                f"{username}: Authentication failed: password is incorrect, or there is no user with such name",
            )

    def _credentials(self) -> tuple[str, str]:
        by_header = "x-clickhouse-user" in self.headers or "x-clickhouse-key" in self.headers
        basic = self.headers.get("authorization", "")
        by_url = "user" in self.args or "password" in self.args
        if by_header + bool(basic) + by_url > 1:
            raise _auth_error("Invalid authentication: it is not allowed to use two ways of it simultaneously")
        if basic:
            return _decode_basic(basic)
        if by_header:
            return self.headers.get("x-clickhouse-user", ""), self.headers.get("x-clickhouse-key", "")
        return self.args.get("user", "default"), self.args.get("password", "")


def read(scope: Mapping[str, Any]) -> Request:
    """Read an ASGI scope. Raises EngineError for what we do not offer."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return build(scope["method"], scope["path"], headers, _parse_args(scope["query_string"]))


def build(method: str, path: str, headers: Mapping[str, str], args: Mapping[str, str]) -> Request:
    """Sort the parameters into what they are for."""
    _refuse_unsupported(args)
    query = args.get("query", "")
    compressed = _flag(args, "enable_http_compression")
    return Request(
        method=method,
        path=path,
        headers=headers,
        args=args,
        query=query.encode(errors="surrogateescape") + b"\n" if query else b"",
        database=headers.get("x-clickhouse-database") or args.get("database", ""),
        format=headers.get("x-clickhouse-format") or args.get("default_format") or "TabSeparated",
        settings={name: value for name, value in args.items() if name not in OURS and not name.startswith("param_")},
        params={name[6:]: value for name, value in args.items() if name.startswith("param_")},
        query_id=_query_id(args.get("query_id") or headers.get("x-clickhouse-query-id", "")),
        exception_tag=secrets.token_bytes(16).translate(_LETTERS).decode(),
        session=_session(args),
        content_encoding=headers.get("content-encoding", "").strip().lower(),
        accept_encoding=choose(headers.get("accept-encoding", "")) if compressed else "",
        level=_number(args, "http_zlib_compression_level", FASTEST),
        waits_for_end=_flag(args, "wait_end_of_query") or _flag(args, "http_wait_end_of_query"),
    )


def _parse_args(query_string: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    except ValueError as error:
        raise EngineError(36, "BAD_ARGUMENTS", f"Cannot read the URL's parameters: {error}") from None
    for name, value in pairs:
        if name != "query" and not _is_text(name + value):
            raise EngineError(36, "BAD_ARGUMENTS", f"The URL's parameter {name!a} is not UTF-8")
    return {name: value for name, value in pairs if name}


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _query_id(asked: str) -> str:
    """What the client calls it, when that can stand in a header."""
    return asked if asked and asked.isascii() and asked.isprintable() else str(uuid.uuid4())


def _session(args: Mapping[str, str]) -> Session | None:
    if not (name := args.get("session_id", "")):
        return None
    timeout = args.get("session_timeout", str(SESSION_TIMEOUT_S))
    if not timeout.isdecimal() or int(timeout) > MAX_SESSION_TIMEOUT_S:
        raise EngineError(374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: '{timeout}'")
    return Session(name, int(timeout), _flag(args, "session_check"), _flag(args, "close_session"))


def _refuse_unsupported(args: Mapping[str, str]) -> None:
    if _flag(args, "compress") or _flag(args, "decompress"):
        raise EngineError(
            48,
            "NOT_IMPLEMENTED",
            "compress and decompress (ClickHouse's own block compression) are not supported by this server, "
            "use enable_http_compression, Accept-Encoding and Content-Encoding",
        )
    if role := args.get("role"):
        raise EngineError(511, "UNKNOWN_ROLE", f"There is no role `{role}` in user directories")


def _flag(args: Mapping[str, str], name: str) -> bool:
    return args.get(name, "0").lower() not in ("0", "", "false")


def _number(args: Mapping[str, str], name: str, default: int) -> int:
    value = args.get(name, str(default))
    if not value.lstrip("-").isdecimal():
        raise EngineError(72, "CANNOT_PARSE_NUMBER", f"Cannot parse '{value}' of {name} as a number")
    return int(value)


def _decode_basic(header: str) -> tuple[str, str]:
    scheme, _, told = header.partition(" ")
    if scheme.lower() != "basic":
        raise _auth_error(f"Invalid authentication: '{scheme}' HTTP Authorization scheme is not supported")
    try:
        username, _, password = base64.b64decode(told, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _auth_error("Invalid authentication: the Basic credentials cannot be read") from None
    return username, password


def _auth_error(detail: str) -> EngineError:
    return EngineError(516, "AUTHENTICATION_FAILED", detail)
