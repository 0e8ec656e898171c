"""Signing in by a one-time link, and out again.

Opening the link changes nothing, so that a mail program's preview cannot use it up; its button does.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from domain.errors import NotSignedIn
from domain.settings import Settings
from schema import sessions
from schema.sessions import Viewer

COOKIE = "metrist_session"
NO_LINK = "Open the sign-in link that the platform printed when it started, or make one with `metrist user sign-in`."
SPENT = "This link has been used already, or is too old. Make another one with `metrist user sign-in`."

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def show_sign_in(request: Request, token: str = "") -> Response:
    """The link's page: a button, or how to get a link."""
    return page(request, "sign_in.html", token=token, title="Sign in to Metrist", detail=NO_LINK)


@router.post("/sign-in", dependencies=[Depends(require_same_origin)])
def sign_in(request: Request, token: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Use the link up and start a session."""
    settings: Settings = request.app.state.settings
    session = sessions.redeem(
        request.app.state.stores.control,
        token,
        datetime.now(UTC),
        idle_days=settings.session_idle_days,
        max_days=settings.session_max_days,
    )
    if session is None:
        return page(request, "sign_in.html", token="", title="This link does not work", detail=SPENT, status=410)
    answer = RedirectResponse("/nodes", 303)
    answer.set_cookie(
        cookie_name(settings),
        session,
        max_age=settings.session_max_days * 86_400,
        secure=is_https(settings),
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/sign-out", dependencies=[Depends(require_same_origin)])
def sign_out(request: Request) -> Response:
    """End this session; without one there is nothing to end."""
    settings: Settings = request.app.state.settings
    if token := session_token(request):
        sessions.end(request.app.state.stores.control, token)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(cookie_name(settings), secure=is_https(settings), httponly=True, samesite="lax")
    return answer


def viewer_of(request: Request) -> Viewer:
    """Who is looking; raises NotSignedIn."""
    token = session_token(request)
    viewer = sessions.find(request.app.state.stores.control, token, datetime.now(UTC)) if token else None
    if viewer is None:
        raise NotSignedIn("This page needs a session; open your sign-in link")
    return viewer


def session_token(request: Request) -> str | None:
    """What the browser shows for a session, good or not."""
    return request.cookies.get(cookie_name(request.app.state.settings))


def cookie_name(settings: Settings) -> str:
    """Under https the browser itself guards the cookie: `__Host-` takes no other path, host or plain http."""
    return f"__Host-{COOKIE}" if is_https(settings) else COOKIE


def is_https(settings: Settings) -> bool:
    """Whether people reach us by https."""
    return settings.base_url.startswith("https://")
