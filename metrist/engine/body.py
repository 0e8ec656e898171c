"""A request's body: the statement or its rest, and the data of an INSERT, which goes to a spool as it comes."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError

from metrist.engine.codecs import Decoder
from metrist.engine.errors import EngineError
from metrist.engine.request import Request, build
from metrist.engine.spool import Spool
from metrist.engine.statement import Statement, parse

HEAD_BYTES = 262_144
"""ClickHouse's max_query_size: a statement that has not named its data by then has none."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client hung up before its request was whole; what it sent is worth nothing."""


@dataclass(frozen=True)
class Body:
    """The request, its SQL, and the data if that is an INSERT with some."""

    request: Request
    statement: Statement
    text: bytes
    spool: Spool | None


async def read_body(request: Request, receive: Receive, folder: Path) -> Body:
    """Read all of it before anything runs: half a body must not be half an INSERT. Raises EngineError, ClientGone."""
    chunks = _decoded(request, receive)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        request = await _read_form(request, chunks)
        return _cut(request, request.query, folder)
    text = bytearray(request.query)
    async for chunk in chunks:
        text += chunk
        if len(text) - len(chunk) < HEAD_BYTES and _names_its_data(bytes(text)):
            return await _read_data(request, bytes(text), chunks, folder)
    return _cut(request, bytes(text), folder)


def _names_its_data(text: bytes) -> bool:
    """The text may yet be cut in the middle of a string, where nothing can be said."""
    try:
        data_at = parse(text).data_at
    except EngineError:
        return False
    return data_at is not None and data_at < len(text)


async def _read_data(request: Request, text: bytes, chunks: AsyncIterator[bytes], folder: Path) -> Body:
    body = _cut(request, text, folder)
    try:
        async for chunk in chunks:
            if body.spool is not None:
                body.spool.write(chunk)
    except BaseException:
        if body.spool is not None:
            body.spool.close()
        raise
    return body


def _cut(request: Request, text: bytes, folder: Path) -> Body:
    statement = parse(text)
    if statement.data_at is None:
        return Body(request, statement, text, None)
    spool = Spool(folder)
    spool.write(memoryview(text)[statement.data_at :])
    return Body(request, statement, text[: statement.data_at], spool)


async def _decoded(request: Request, receive: Receive) -> AsyncIterator[bytes]:
    encoding = request.content_encoding
    decoder = Decoder(encoding) if encoding and encoding != "identity" else None
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if data := message.get("body", b""):
            yield decoder.decode(data) if decoder else data
        more = message.get("more_body", False)
    if decoder:
        decoder.finish()


async def _read_form(request: Request, chunks: AsyncIterator[bytes]) -> Request:
    """Parameters too long for a URL come as a form. Raises EngineError."""
    fields: dict[str, str] = {}
    files: list[Any] = []

    def keep(field: Any) -> None:
        fields[field.field_name.decode()] = (field.value or b"").decode(errors="surrogateescape")

    try:
        parser = create_form_parser({"Content-Type": request.headers["content-type"].encode()}, keep, files.append)
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError) as error:
        raise EngineError(36, "BAD_ARGUMENTS", f"Cannot read the form: {error}") from None
    if files:
        raise EngineError(48, "NOT_IMPLEMENTED", "External data for query processing is not supported by this server")
    return build(request.method, request.path, request.headers, {**request.args, **fields})
