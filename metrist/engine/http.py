"""ClickHouse's HTTP interface over chDB, as an ASGI application."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import structlog

from metrist.engine.body import Body, ClientGone, Receive, read_body
from metrist.engine.chdb import Directory
from metrist.engine.errors import EngineError
from metrist.engine.gate import Gate
from metrist.engine.pool import Pool
from metrist.engine.request import Credentials, Request, read
from metrist.engine.response import (
    PLAIN,
    Headers,
    answer_headers,
    broken_off,
    check,
    check_length,
    error_text,
    headers,
    page,
    summarise,
)
from metrist.engine.results import Results
from metrist.engine.running import Running, answer_to_kill, killed_id
from metrist.engine.spool import Spool

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BUFFER_BYTES = 1 << 20
"""ClickHouse's own: an error within the first MiB of an answer is still told by its status."""
WATCH_AFTER_S = 0.1
"""A statement that runs longer is watched for a client that hangs up."""
LOG = structlog.get_logger()
SEND_TIMEOUT_S = 30
"""ClickHouse's http_send_timeout: who reads nothing for so long gives up the place it takes."""


class Application:
    """Serves requests in the event loop; chDB runs on `threads` others."""

    def __init__(self, directory: Directory, owner: Credentials, threads: int) -> None:
        self._directory = directory
        self._owner = owner
        self._folder = directory.path / "tmp"
        self._pool = Pool(directory, threads)
        self._gate = Gate(threads)
        self._workers = ThreadPoolExecutor(threads, "worker")
        self._writers = ThreadPoolExecutor(threads, "writer")
        self._undertaker = ThreadPoolExecutor(threads, "undertaker")
        self._unfinished: set[Future[Any]] = set()
        self._running = Running()
        self._display_name = socket.gethostname().encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = None
        try:
            request = read(scope)
            if found := page(request):
                status, content_type, text = found
                await _send_whole(send, status, headers(self._display_name, request, content_type), text)
                return
            request.authenticate(self._owner)
            check_length(request)
            await self._serve(await read_body(request, receive, self._folder), receive, send)
        except ClientGone:
            return
        except EngineError as error:
            await self._refuse(request, error, send)
        except Exception as bug:
            LOG.exception("engine_request_failed", query_id=request.query_id if request else None)
            with suppress(RuntimeError):  # too late when a response has begun
                await self._refuse(request, EngineError(1001, "STD_EXCEPTION", type(bug).__name__), send)

    def close(self, within_s: float) -> bool:
        """Stop reads, let writes end, give all back. False when something does not end in time."""
        self._pool.kill_reads()
        _, running = wait(set(self._unfinished), within_s)
        if not running:
            self._pool.close()
        return not running

    async def _serve(self, body: Body, receive: Receive, send: Send) -> None:
        is_read = body.statement.is_read  # not so a KILL, although a SELECT answers it: it must get past what it stops
        try:
            check(body.request, body.statement)
            body = self._kill(body)
            results = Results(self._pool, self._writers, body.request, body.statement, body.text, body.spool)
        except EngineError:
            if body.spool is not None:
                body.spool.close()
            raise
        watch = _Watch(receive, lambda: self._undertaker.submit(results.kill))
        self._running.add(body.request.query_id, results)
        try:
            async with self._gate.place(is_read=is_read):
                await self._answer(body, results, send)
        finally:
            watch.stop()
            self._running.remove(body.request.query_id, results)
            if results.has_ended:
                results.close()
            else:
                self._track(self._undertaker.submit(results.abandon))

    def _kill(self, body: Body) -> Body:
        """Carry out a KILL QUERY that names an id; what is left to do is to answer it."""
        query_id = killed_id(body.text, body.request.params)
        if query_id is None:
            return body
        running = self._running.of(query_id)
        for results in running:
            self._undertaker.submit(results.kill)
        return answer_to_kill(body, query_id, len(running))

    async def _answer(self, body: Body, results: Results, send: Send) -> None:
        first = await self._call(results.pull, BUFFER_BYTES)
        if results.has_ended:
            await _send_whole(send, 200, self._answer_headers(body, results, len(first)), first)
        elif body.request.waits_for_end:
            await self._answer_late(body, results, first, send)
        else:
            await self._answer_early(body, results, first, send)

    async def _answer_early(self, body: Body, results: Results, first: bytes, send: Send) -> None:
        """Send parts as they come; how many rows there will be is not known yet."""
        await send({"type": "http.response.start", "status": 200, "headers": self._answer_headers(body, results, 0)})
        await _send_part(send, first)
        while not results.has_ended:
            try:
                part = await self._call(results.pull, BUFFER_BYTES)
            except EngineError as error:
                # No end of the response follows: a client that knows nothing of the tag sees a broken connection
                last = broken_off(error, self._directory.version, body.request.exception_tag)
                await _send_part(send, results.seal(last))
                return
            await _send_part(send, part)
        await send({"type": "http.response.body", "body": b""})

    async def _answer_late(self, body: Body, results: Results, first: bytes, send: Send) -> None:
        """Send nothing before the statement has ended (wait_end_of_query); what waits lies on disk when it is large."""
        with Spool(self._folder) as spool:
            spool.write(first)
            while not results.has_ended:
                spool.write(await self._call(results.pull, BUFFER_BYTES))
            sent = self._answer_headers(body, results, spool.size)
            sent.append((b"content-length", str(spool.size).encode()))
            await send({"type": "http.response.start", "status": 200, "headers": sent})
            for at in range(0, spool.size, BUFFER_BYTES):
                await _send_part(send, spool.read(at, BUFFER_BYTES))
            await send({"type": "http.response.body", "body": b""})

    def _answer_headers(self, body: Body, results: Results, size: int) -> Headers:
        summary = summarise(results.stats, results.elapsed_ns, size)
        return answer_headers(self._display_name, body.request, body.statement, self._directory.timezone, summary)

    async def _refuse(self, request: Request | None, error: EngineError, send: Send) -> None:
        sent = headers(self._display_name, request, PLAIN)
        sent.append((b"x-clickhouse-exception-code", str(error.code).encode()))
        await _send_whole(send, error.status, sent, error_text(error, self._directory.version))

    async def _call(self, pull: Callable[[int], bytes], size: int) -> bytes:
        return await asyncio.wrap_future(self._track(self._workers.submit(pull, size)))

    def _track(self, future: Future[Any]) -> Future[Any]:
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future


class _Watch:
    """Looks whether the client is still there, once a statement has run for a while."""

    def __init__(self, receive: Receive, kill: Callable[[], object]) -> None:
        self._receive = receive
        self._kill = kill
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def stop(self) -> None:
        """The answer is out, or will never be."""
        self._timer.cancel()
        if self._task:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._kill()


async def _send_whole(send: Send, status: int, sent: Headers, text: bytes) -> None:
    sent.append((b"content-length", str(len(text)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": text})


async def _send_part(send: Send, part: bytes) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except TimeoutError:
        raise ClientGone from None
