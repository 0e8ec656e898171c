"""Errors → application/problem+json (RFC 9457). The only place that knows status codes of failures."""

import http
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from api import door, traffic
from api.seldom import Seldom
from dashboards import pages, signin
from domain.errors import (
    InvalidQuery,
    MalformedBody,
    MetristError,
    NoAccount,
    NotFound,
    NotSignedIn,
    StoreUnavailable,
    WrongMethod,
)
from schema.clickhouse_client import ClickHouseError

log = structlog.get_logger()
PROBLEM = "application/problem+json"
DOCS = "/docs/problems#"


def install(app: FastAPI) -> None:
    """Send every failure down the same road."""
    app.state.failures = Seldom()
    app.add_exception_handler(MetristError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    for store_error in (RedisError, SQLAlchemyError, ClickHouseError):
        app.add_exception_handler(store_error, _on_store)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, _on_bug)


def respond(request: Request, error: MetristError) -> Response:
    """The response of an error: a page for a browser's visit, a problem for programs."""
    door.refused(request, error)
    if _wants_page(request):
        if isinstance(error, NotSignedIn):
            return RedirectResponse(signin.way_in(request), 303)
        if isinstance(error, NoAccount) and request.method == "GET":
            return RedirectResponse("/accounts/new", 303)
        return pages.render_problem(request, error.status, error.title, error.detail)
    body: dict[str, Any] = {
        "type": f"{DOCS}{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": request.url.path,
        **error.extra,
    }
    if given := traffic.request_id(request):
        body["request_id"] = given
    if error.errors:
        body["errors"] = error.errors
    headers = {**_headers(error), **({traffic.HEADER: given} if given else {})}
    return Response(msgspec.json.encode(body), error.status, headers, media_type=PROBLEM)


def _headers(error: MetristError) -> Mapping[str, str]:
    headers = dict(error.headers)
    if error.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="metrist"')
    if error.status in (429, 503, 507):
        headers.setdefault("Retry-After", "5")
    return headers


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def _path(request: Request) -> str:
    """What the log calls a request: its route, for an invitation's address is a secret."""
    path: str = getattr(request.scope.get("route"), "path", request.url.path)
    return path


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MetristError)
    if error.status >= 500:
        path, seldom = _path(request), request.app.state.failures
        if times := seldom.due(path, error.slug):  # a fleet that finds no room would fill the log with it
            log.warning("request_failed", path=path, problem=error.slug, detail=error.detail, times=times)
    return respond(request, error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        hint = f"; it takes {allowed}" if allowed else ""
        problem: MetristError = WrongMethod(f"{request.method} does not work here{hint}", headers=error.headers)
    elif error.status_code == 404:
        problem = NotFound(f"{request.url.path} does not exist")
    elif isinstance(error.__cause__, MetristError):
        problem = error.__cause__  # raised while a form was read, and wrapped on its way up
    elif error.status_code == 400:
        problem = MalformedBody(f"the form could not be read: {error.detail}")
    else:
        problem = MetristError(str(error.detail) or http.HTTPStatus(error.status_code).phrase)
    return respond(request, problem)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0]), "detail": found["msg"]}
        for found in error.errors()
    ]
    detail = "; ".join(f"{entry['field']}: {entry['detail']}" for entry in errors)
    return respond(request, InvalidQuery(detail, errors=errors))


async def _on_store(request: Request, error: Exception) -> Response:
    log.warning("store_failed", path=_path(request), error=type(error).__name__, exc_info=error)
    return respond(request, StoreUnavailable("a store is not reachable just now; try again in a few seconds"))


async def _on_gone(_request: Request, _error: Exception) -> Response:
    """Whoever left in the middle of its body reads no answer; nginx's number, should something count them."""
    return Response(status_code=499)


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("request_crashed", path=_path(request), error=type(error).__name__, exc_info=error)
    return respond(request, MetristError("the error has been logged; try again, and tell the operator if it stays"))
