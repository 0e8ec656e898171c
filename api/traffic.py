"""Every request: an id that the log, its answer and its error share; how long it took; how many there were.

A route is called by its pattern, so there are never more names than routes, and no address with a secret in it.
"""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.metering import Family, Histogram, Point

HEADER: Final = "x-request-id"
_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CRASHED: Final = 500


class Traffic:
    """What one process has answered; counted in its event loop."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str, int]] = Counter()
        self.seconds: dict[tuple[str, str], Histogram] = {}
        self.under_way = 0

    def note(self, route: str, method: str, status: int, took_s: float) -> None:
        """One answer, by when it began."""
        self.answered[route, method, status] += 1
        found = self.seconds.get((route, method))
        if found is None:
            found = self.seconds[route, method] = Histogram()
        found.observe(took_s)

    def families(self) -> Iterator[Family]:
        """As figures."""
        answered = tuple(
            Point(count, {"route": route, "method": method, "status": str(status)})
            for (route, method, status), count in self.answered.items()
        )
        yield Family("metrist_requests", "counter", "Requests answered", answered)
        took = tuple(
            point
            for (route, method), found in self.seconds.items()
            for point in found.points({"route": route, "method": method})
        )
        says = "Time until an answer began, without the time a ping was held"
        yield Family("metrist_request_seconds", "histogram", says, took)
        yield Family("metrist_requests_under_way", "gauge", "Requests being answered now", (Point(self.under_way),))


def install(app: FastAPI) -> None:
    """Count everything; the outermost, so installed last."""
    app.state.traffic = Traffic()
    app.add_middleware(Counting, traffic=app.state.traffic)


def request_id(request: Request) -> str:
    """The id of a request; "" outside of the middleware."""
    found: str = request.scope.get("state", {}).get("request_id", "")
    return found


def held(request: Request, held_s: float) -> None:
    """Say that an answer was held back on purpose for so long."""
    request.scope.setdefault("state", {})["held_s"] = held_s


class Counting:
    """Pure ASGI, so that streams pass through."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self.app = app
        self.traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        state = scope.setdefault("state", {})
        state["request_id"] = given = _given(scope) or secrets.token_hex(8)
        structlog.contextvars.bind_contextvars(request_id=given)

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = given
                self._note(scope, status, time.perf_counter() - began)
            await send(message)

        self.traffic.under_way += 1
        try:
            await self.app(scope, receive, send_counted)
        except BaseException:
            if not status:
                self._note(scope, CRASHED, time.perf_counter() - began)
            raise
        finally:
            self.traffic.under_way -= 1

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        route: str = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.traffic.note(route, method, status, took_s - scope["state"].get("held_s", 0.0))


def _given(scope: Scope) -> str:
    """The id that a proxy in front of us gave it."""
    found = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return found.decode("ascii") if _GIVEN.fullmatch(found) else ""
