"""A bound on what pages are sent: forms are small, and the API's own routes have limits of theirs (api/body.py)."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from domain.errors import TooLarge

FORM_MAX_BYTES = 1_048_576


def install(app: FastAPI) -> None:
    """Measure every request that is not the API's."""
    app.add_middleware(FormLimit)


class FormLimit:
    """Pure ASGI: refuses what says that it is too large, and stops reading what turns out to be."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > FORM_MAX_BYTES:
            await problems.respond(request, _too_large())(scope, receive, send)
            return
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > FORM_MAX_BYTES:
                raise _too_large()
            return message

        await self.app(scope, receive_some, send)


def _too_large() -> TooLarge:
    return TooLarge(f"a form has at most {FORM_MAX_BYTES} bytes", limit_bytes=FORM_MAX_BYTES)
