"""A template before it is saved: what it makes of an example, or in which line it fails."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import Response

from dashboards.notices.sheet import SAFELY, Viewing, sheet
from dashboards.render import page
from domain import templates
from domain.channels import parse_values, template_of
from domain.errors import InvalidBody, MetristError, Overloaded
from domain.permissions import Permission, require
from domain.templates import Template, examples, facts_of
from rendering import render
from schema import channels
from schema.sessions import Viewer

HIDDEN = "••••"
"""What stands for a sealed value in an example."""
router = APIRouter()
Text = Annotated[str, Form(max_length=20_000)]


@dataclass(frozen=True)
class Tried:
    """What came of trying a template.

    bodies   of a fire and of an end
    problem  why it cannot be used; a body that is not what it says it is is shown all the same
    line     of the template; 0 when none is known
    """

    bodies: tuple[str, ...] = ()
    problem: str = ""
    line: int = 0


def attempt(template: Template, names: Iterable[str], base_url: str) -> Tried:
    """Render it for the examples, with sealed values of these names."""
    messages = examples("on call", base_url, datetime.now(UTC))
    sealed = dict.fromkeys(names, HIDDEN)
    try:
        bodies = tuple(render(template, [facts_of(message, sealed) for message in messages]))
    except (InvalidBody, Overloaded) as error:
        return Tried((), error.detail, error.errors[0]["line"] if error.errors else 0)
    for body in bodies:
        try:
            templates.check(template, body)
        except InvalidBody as error:
            return Tried(bodies, error.detail)
    return Tried(bodies)


def require_sound(config: Mapping[str, Any], base_url: str) -> None:
    """Raises InvalidBody when a channel's template gives no body for an example."""
    template = template_of(config)
    tried = attempt(template, config["sealed"], base_url) if template else Tried()
    if tried.problem:
        raise InvalidBody(tried.problem, errors=[{"line": tried.line, "message": tried.problem}])


@router.post("/channels/preview", dependencies=SAFELY)
def preview(
    request: Request,
    viewer: Viewing,
    template: Text = "",
    escapes: Text = "json",
    sealed: Text = "",
    known: Annotated[UUID | None, Form()] = None,
    x_part: Annotated[str, Header(alias="x-part")] = "",
) -> Response:
    """What a template makes of the examples, as a part of a page for scripts.

    known  the channel that is changed: the names of its sealed values are known
    """
    require(viewer.role, Permission.MANAGE_CHANNELS)
    try:
        names = tuple(parse_values(sealed)) or _names(request, viewer, known)
        tried = attempt(templates.parse(template, escapes), names, request.app.state.settings.base_url)
    except MetristError as refusal:
        tried = Tried(problem=refusal.detail)
    if x_part:
        return page(request, "_template_tried.html", viewer, tried=tried)
    return sheet(request, viewer, "template_tried.html", "channels", tried=tried)


def _names(request: Request, viewer: Viewer, known: UUID | None) -> tuple[str, ...]:
    if known is None:
        return ()
    found = channels.find(request.app.state.stores.control, viewer.account_id, known)
    return tuple(found.config.get("sealed", ()))
