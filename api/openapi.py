"""The OpenAPI document: what routes that read and write their own bytes take, give and refuse.

A route says so by `**described(…)` where it is declared. tests/integration/pages/test_openapi.py drives every route by
this document and holds the answers to it, so what is written here is what happens.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from types import UnionType
from typing import Any, Final, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.body import JSON, NDJSON
from api.problems import PROBLEM
from domain.errors import (
    Forbidden,
    InvalidBody,
    InvalidQuery,
    MalformedBody,
    MetristError,
    MissingKey,
    NoAccount,
    NotSignedIn,
    StoreUnavailable,
    TooLarge,
    UnsupportedMedia,
    WrongKey,
)

Requirements = tuple[Mapping[str, list[str]], ...]
Problems = tuple[type[MetristError], ...]

WITH_KEY: Final[Problems] = (MissingKey, WrongKey, Forbidden, StoreUnavailable)
"""How every route refuses that asks for an API key."""
READING: Final[Problems] = (NotSignedIn, WrongKey, NoAccount, Forbidden, InvalidQuery, StoreUnavailable)
"""How every route refuses that a key of scope read or a signed-in person may use."""
WITH_BODY: Final[Problems] = (MalformedBody, TooLarge, UnsupportedMedia, InvalidBody)
"""How every route refuses that takes a body."""
KEY: Final[Requirements] = ({"key": []},)
KEY_OR_SESSION: Final[Requirements] = ({"key": []}, {"session": []})

_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "RFC 9457. A problem may tell more, such as the byte `offset` where reading a body stopped.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "a part of /docs/problems, which says what to do"},
        "title": {"type": "string", "description": "the same for every problem of its type"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "this case"},
        "instance": {"type": "string", "description": "the path that was asked"},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "one for each field that is wrong"},
    },
}
_SECURITY: Final[Mapping[str, Any]] = {
    "key": {"type": "http", "scheme": "bearer", "description": "an API key, `mtr_…`"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "metrist_session",
        "description": "a signed-in person; `__Host-metrist_session` where people come by https",
    },
}


def described(
    *,
    takes: Any = None,
    gives: Any = None,
    problems: Iterable[type[MetristError]] = (),
    who: Iterable[Mapping[str, list[str]]] = KEY,
    status: int = 200,
    also: Mapping[int, str] | None = None,
    csv: bool = False,
    lines: bool = False,
) -> dict[str, Any]:
    """What a route's decorator is to be told.

    takes     a msgspec type, the JSON of its body; `lines`: or one on each line
    gives     a msgspec type, the JSON of its answer; `csv`: or a table
    problems  the errors it raises
    who       security requirements, any of which will do; none for anybody
    also      further codes of good answers, and what they say
    """
    answer: dict[str, Any] = {JSON: {"schema": schema_of(gives)}} if gives is not None else {}
    if csv:
        answer["text/csv"] = {"schema": {"type": "string"}}
    good: dict[int, Any] = {status: {"description": HTTPStatus(status).phrase, "content": answer}}
    for code, says in (also or {}).items():
        good[code] = {"description": says} if code == 304 else {"description": says, "content": answer}
    extra: dict[str, Any] = {"security": list(who)}
    if takes is not None:
        extra["requestBody"] = _body(takes, lines)
    return {"status_code": status, "responses": {**good, **_refusals(problems)}, "openapi_extra": extra}


def schema_of(shape: Any) -> dict[str, Any]:
    """JSON Schema of a msgspec type, or of several with `|`; every part in its place: no shape of ours holds itself."""
    if isinstance(shape, UnionType):
        return {"anyOf": [schema_of(one) for one in get_args(shape)]}
    (found,), parts = msgspec.json.schema_components((shape,), ref_template="#/{name}")
    whole: dict[str, Any] = _inlined(found, parts)
    return whole


def install(app: FastAPI) -> None:
    """Make `app.openapi` give the whole document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    about = "Send metrics, ask for them, and say which monitors nodes run. Every refusal is a problem of RFC 9457."
    made = get_openapi(title=app.title, version=version("metrist"), description=about, routes=app.routes)
    parts = made.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = dict(_PROBLEM)
    _drop_defaults(made)
    parts["securitySchemes"] = dict(_SECURITY)
    return made


def _drop_defaults(made: dict[str, Any]) -> None:
    """FastAPI tells of a 422 in a shape of its own, which nobody is ever sent: ours are told by their routes."""
    for name in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(name, None)
    for operation in (one for path in made["paths"].values() for one in path.values()):
        content = operation["responses"].get("422", {}).get("content", {})
        if JSON in content:
            del operation["responses"]["422"]


def _body(takes: Any, lines: bool) -> dict[str, Any]:
    schema = schema_of(takes)
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if lines:
        content[NDJSON] = {"schema": {"type": "string", "description": "one object on each line"}}
    return {"required": True, "content": content}


def _refusals(problems: Iterable[type[MetristError]]) -> dict[int, Any]:
    """One entry for each code, named after all problems that come with it."""
    by_status: dict[int, list[str]] = {}
    for problem in problems:
        titles = by_status.setdefault(problem.status, [])
        if problem.title not in titles:
            titles.append(problem.title)
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": ". ".join(titles), "content": content} for code, titles in sorted(by_status.items())}


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _inlined(value, parts) for key, value in schema.items() if key not in ("$ref", "discriminator")}
    if "$ref" in schema:
        found = {**_inlined(parts[schema["$ref"].removeprefix("#/")], parts), **found}
    if isinstance(found.get("title"), str):
        found["title"] = found["title"].strip("_")
    return found
