"""What travels is compressed, but never what comes in parts or is encoded already."""

import asyncio
import gzip
import json

import httpx
import pytest
import zstandard
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from dashboards.compress import IN_THREAD_BYTES, LEAST_BYTES, Compress
from tests.integration.pages.site import Site, Tenant

UNPACK = {"zstd": zstandard.decompress, "gzip": gzip.decompress}
TEXT = b"metrist " * LEAST_BYTES


def answer_of(response: Response, accepted: str = "gzip, zstd") -> list[Message]:
    """The messages that an answer becomes."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", accepted.encode())]}
    asyncio.run(Compress(app)(scope, receive, send))
    return sent


def headers_of(sent: list[Message]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br, zstd", "zstd"), ("gzip", "gzip"), ("gzip;q=0, identity", None), ("", None)],
)
def test_the_best_that_the_browser_takes(accepted: str, encoding: str | None) -> None:
    sent = answer_of(Response(TEXT, media_type="text/html"), accepted)
    headers = headers_of(sent)
    assert headers.get("content-encoding") == encoding
    body = sent[1]["body"]
    assert headers["content-length"] == str(len(body))
    assert (UNPACK[encoding](body) if encoding else body) == TEXT
    if encoding:
        assert headers["vary"] == "Accept-Encoding" and len(body) < len(TEXT) / 20


def test_large_bodies_are_whole_too() -> None:
    body = json.dumps(list(range(IN_THREAD_BYTES // 4))).encode()
    sent = answer_of(Response(body, media_type="application/json"))
    assert zstandard.decompress(sent[1]["body"]) == body and len(body) > IN_THREAD_BYTES


async def _parts() -> object:
    yield TEXT
    yield TEXT


UNTOUCHED = [
    ("a small body", JSONResponse({"a": 1})),
    ("what is encoded already", Response(TEXT, media_type="text/css", headers={"content-encoding": "gzip"})),
    ("pictures", Response(TEXT, media_type="image/png")),
    ("a stream of events", StreamingResponse(_parts(), media_type="text/event-stream")),  # type: ignore[arg-type]
    ("a page in parts", StreamingResponse(_parts(), media_type="text/html")),  # type: ignore[arg-type]
    ("no body", Response(status_code=304)),
]


@pytest.mark.parametrize("response", [case[1] for case in UNTOUCHED], ids=[case[0] for case in UNTOUCHED])
def test_the_rest_is_left_alone(response: Response) -> None:
    encoding = response.headers.get("content-encoding")
    sent = answer_of(response)
    assert headers_of(sent).get("content-encoding") == encoding
    bodies = [message["body"] for message in sent[1:] if message.get("body")]
    assert all(body == TEXT for body in bodies) or bodies == [b'{"a":1}']


def test_pages_travel_compressed_and_streams_at_once(site: Site, ours: Tenant) -> None:
    with site.client(ours.session, accept="text/html", **{"accept-encoding": "zstd"}) as browser:
        page = browser.get("/nodes")
        assert page.headers["content-encoding"] == "zstd" and "rack/web-1" in page.text
        with browser.stream("GET", "/nodes/stream", headers={"accept": "text/event-stream"}) as stream:
            assert "content-encoding" not in stream.headers
            assert next(stream.iter_raw()).startswith(b"event: nodes\ndata: {")


def test_programs_may_ask_for_it_too(site: Site, ours: Tenant) -> None:
    with httpx.Client(base_url=site.url, headers={"accept-encoding": "gzip"}, trust_env=False) as program:
        answer = program.get("/api/v1/openapi.json")
    assert answer.headers["content-encoding"] == "gzip" and answer.json()["openapi"]
