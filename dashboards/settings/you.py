"""Oneself: name, address, ways to sign in, and where one is signed in."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards import providers
from dashboards.settings.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from dashboards.signin import session_token
from domain.errors import MetristError
from schema import identities, sessions, users
from schema.sessions import Viewer

HERE = "/settings/you"

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """Who one is here."""
    return _show(request, viewer)


@router.post(f"{HERE}/name", dependencies=SAFELY)
def rename(request: Request, viewer: Viewing, name: Annotated[str, Form(max_length=1_000)] = "") -> Response:
    """Be called otherwise; an empty name is none."""
    try:
        users.rename(request.app.state.stores.control, viewer.user_id, name, datetime.now(UTC))
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return done("you", "you")


@router.post(f"{HERE}/sessions/{{listed_id}}/end", dependencies=SAFELY)
def end_session(listed_id: str, request: Request, viewer: Viewing) -> Response:
    """Sign out one browser."""
    sessions.end_one(request.app.state.stores.control, viewer.user_id, listed_id)
    return done("you", "signed-out")


@router.post(f"{HERE}/sessions/end-others", dependencies=SAFELY)
def end_others(request: Request, viewer: Viewing) -> Response:
    """Sign out everywhere but here."""
    sessions.end_all(request.app.state.stores.control, viewer.user_id, spare=session_token(request))
    return done("you", "others-out")


def _show(request: Request, viewer: Viewer, refusal: MetristError | None = None) -> Response:
    control, now = request.app.state.stores.control, datetime.now(UTC)
    offered, known = providers.offered(request), identities.list_for(control, viewer.user_id)
    connected = {identity.provider for identity in known}
    return sheet(
        request,
        viewer,
        "you",
        refusal=refusal,
        identities=[(identity, offered.get(identity.provider)) for identity in known],
        may_disconnect=len(known) > 1 or viewer.email is not None,
        connectable=[(key, provider.name) for key, provider in offered.items() if key not in connected],
        sessions=sessions.list_for(control, viewer.user_id, now),
        this_session=sessions.session_id(session_token(request) or ""),
    )
