"""The pages of an account besides its nodes: where one starts, how to connect a node, and problems."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.render import page
from dashboards.signin import viewer_of
from schema.sessions import Viewer

Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter(include_in_schema=False)


@router.get("/")
def start() -> Response:
    """The nodes are where one starts."""
    return RedirectResponse("/nodes", 307)


@router.get("/help/agent")
def help_with_agent(request: Request, viewer: Viewing) -> Response:
    """The guide that an account without nodes begins with."""
    return page(request, "help.html", viewer, place="help")


def render_problem(request: Request, status: int, title: str, detail: str) -> Response:
    """A problem as a page for a person."""
    return page(request, "problem.html", title=title, detail=detail, status=status, code=status)
