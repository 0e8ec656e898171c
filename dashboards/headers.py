"""What every answer tells browsers to refuse, and who may send us a form.

The policy has no inline script and no inline style. Plotly writes its styles through the CSSOM, which the policy
allows, and one <style> element, which it does not: base.html names our own sheet as that element (`no-inline-styles`),
and `static/plot.css` has the few rules a plain line needs. Frames, plugins and other hosts are refused altogether.
"""

from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import Forbidden

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ON_PAGES = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HSTS = "max-age=31536000"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def install(app: FastAPI) -> None:
    """Put the headers on everything the application answers."""
    app.add_middleware(SecurityHeaders, is_https=app.state.settings.base_url.startswith("https://"))


class SecurityHeaders:
    """Pure ASGI, so that streams pass through unbuffered; pages get the policy, everything the rest."""

    def __init__(self, app: ASGIApp, *, is_https: bool = False) -> None:
        self.app = app
        self.is_https = is_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _add(self, headers: MutableHeaders) -> None:
        is_page = headers.get("content-type", "").startswith("text/html")
        for name, value in (ALWAYS | (ON_PAGES if is_page else {})).items():
            headers.setdefault(name, value)
        if is_page:
            headers.setdefault("cache-control", "no-store")
        if self.is_https:
            headers.setdefault("strict-transport-security", HSTS)


def require_same_origin(request: Request) -> None:
    """Refuse a change that another site's page asked for; raises Forbidden.

    Browsers send Sec-Fetch-Site (since 2023 all of them) or at least Origin with every unsafe request. A request with
    neither comes from no browser, so it carries no cookie that its sender did not own.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is None and (origin is None or _is_own(origin, request)):
        return
    if site not in ("same-origin", "none"):
        raise Forbidden("This form was sent from another site; open the page here and send it again")


def _is_own(origin: str, request: Request) -> bool:
    settings = request.app.state.settings
    return urlsplit(origin).netloc in (request.headers.get("host", ""), urlsplit(settings.base_url).netloc)
