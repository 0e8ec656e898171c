"""What goes back to the client: headers, pages and errors as ClickHouse words them."""

import json

from metrist.engine.chdb import Stats
from metrist.engine.errors import EngineError
from metrist.engine.request import Request
from metrist.engine.statement import Statement

Headers = list[tuple[bytes, bytes]]

PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
TSV = "text/tab-separated-values; charset=UTF-8"
JSON = "application/json; charset=UTF-8"
BINARY = "application/octet-stream"
CONTENT_TYPES = {
    **dict.fromkeys(("TabSeparated", "TSV", "TabSeparatedWithNames", "TSVWithNames", "TabSeparatedRaw", "TSVRaw"), TSV),
    **dict.fromkeys(("JSON", "JSONCompact", "JSONStrings", "JSONCompactStrings", "JSONColumns"), JSON),
    **dict.fromkeys(("JSONEachRow", "JSONCompactEachRow", "JSONStringsEachRow"), "application/x-ndjson; charset=UTF-8"),
    **dict.fromkeys(("Native", "RowBinary", "RowBinaryWithNamesAndTypes", "Parquet", "Arrow", "ArrowStream"), BINARY),
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "XML": "application/xml; charset=UTF-8",
    "Markdown": "text/markdown; charset=UTF-8",
}
OK = b"Ok.\n"
NOT_FOUND = (
    b"There is no handle %s\n\nUse / or /ping for health checks.\nOr /replicas_status for more sophisticated health "
    b"checks.\n\nSend queries from your program with POST method or GET /?query=...\n"
)


def page(request: Request) -> tuple[int, str, bytes] | None:
    """Status, type and text of what is no query: health checks, which need no password, and wrong addresses."""
    if request.path == "/ping":
        return 200, HTML, OK
    if request.path == "/replicas_status":
        return 200, PLAIN, OK
    if request.path != "/" or request.method not in ("GET", "HEAD", "POST"):
        return 404, PLAIN, NOT_FOUND % request.path.encode()
    if not request.query and request.method != "POST":
        return 200, HTML, OK
    return None


def check(request: Request, statement: Statement) -> None:
    """Refuse what a server refuses before it looks at any table. Raises EngineError."""
    if not statement.verb:
        raise EngineError(62, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query")
    if request.method != "POST" and not (statement.is_read or statement.verb in (b"SET", b"USE")):
        raise EngineError(
            164,
            "READONLY",
            "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. "
            "You should use method POST for modifying queries",
        )


def check_length(request: Request) -> None:
    """A POST must say how long it is. Raises EngineError."""
    if request.method == "POST" and not {"content-length", "transfer-encoding"} & request.headers.keys():
        raise EngineError(
            381,
            "HTTP_LENGTH_REQUIRED",
            "The Transfer-Encoding is not chunked and there is no Content-Length header for POST request",
        )


def headers(display_name: bytes, request: Request | None, content_type: str) -> Headers:
    """Those of every response."""
    common = [(b"content-type", content_type.encode()), (b"x-clickhouse-server-display-name", display_name)]
    if request is None:
        return common
    return [
        *common,
        (b"x-clickhouse-query-id", request.query_id.encode()),
        (b"x-clickhouse-exception-tag", request.exception_tag.encode()),
    ]


def answer_headers(
    display_name: bytes, request: Request, statement: Statement, timezone: str, summary: bytes
) -> Headers:
    """Those of a statement's answer."""
    name = statement.format.decode() if statement.format else request.format
    sent = headers(display_name, request, CONTENT_TYPES.get(name, PLAIN) if statement.has_answer else PLAIN)
    sent += [
        (b"x-clickhouse-timezone", request.settings.get("session_timezone", timezone).encode()),
        (b"x-clickhouse-summary", summary),
    ]
    if statement.has_answer:
        sent.append((b"x-clickhouse-format", name.encode()))
    if request.accept_encoding:
        sent.append((b"content-encoding", request.accept_encoding.encode()))
    return sent


def summarise(stats: Stats, elapsed_ns: int, result_bytes: int) -> bytes:
    """X-ClickHouse-Summary, so far as chDB tells: it keeps its memory use to itself."""
    counts = {
        "read_rows": stats.read_rows,
        "read_bytes": stats.read_bytes,
        "written_rows": stats.written_rows,
        "written_bytes": stats.written_bytes,
        "total_rows_to_read": stats.read_rows,
        "result_rows": stats.result_rows or stats.written_rows,
        "result_bytes": result_bytes or stats.written_bytes,
        "elapsed_ns": elapsed_ns,
        "memory_usage": 0,
    }
    return json.dumps({name: str(count) for name, count in counts.items()}, separators=(",", ":")).encode()


def error_text(error: EngineError, version: str) -> bytes:
    """The body of a failed request."""
    return f"{error.text} (version {version})\n".encode(errors="replace")


def broken_off(error: EngineError, version: str, tag: str) -> bytes:
    """What ends a stream that fails after its status was sent (ClickHouse 25.11 and later)."""
    text = error_text(error, version)
    return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
