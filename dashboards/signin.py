"""Signing in by a one-time link, and out again; who it is that looks.

Opening the link changes nothing, so that a mail program's preview cannot use it up; its button does.
Signing in through a provider: dashboards/oauth.py.
"""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards import providers
from dashboards.headers import require_same_origin
from dashboards.render import page
from domain import browsers, places
from domain.errors import NoAccount, NotSignedIn
from domain.settings import Settings
from schema import sessions
from schema.sessions import Person, Terms, Viewer

COOKIE = "metrist_session"
NO_LINK = "Open the sign-in link that the platform printed when it started, or make one with `metrist user sign-in`."
SPENT = "This link has been used already, or is too old. Make another one with `metrist user sign-in`."

Next = Annotated[str, Query(alias="next")]

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def show_sign_in(request: Request, token: str = "", after: Next = "") -> Response:
    """The link's page: a button, or how to get a link. Who is signed in already goes on."""
    place = places.local_path(after)
    if not token and _person(request) is not None:
        return RedirectResponse(place, 303)
    detail = "" if providers.offered(request) else NO_LINK
    return sign_in_page(request, place, "Sign in to Metrist", detail, token=token)


@router.post("/sign-in", dependencies=[Depends(require_same_origin)])
def sign_in(
    request: Request,
    token: Annotated[str, Form(max_length=200)] = "",
    after: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Use the link up and start a session."""
    control = request.app.state.stores.control
    session = sessions.redeem(control, token, datetime.now(UTC), terms_of(request))
    place = places.local_path(after)
    if session is None:
        return sign_in_page(request, place, "This link does not work", SPENT, status=410)
    return let_in(request, session, place)


@router.post("/sign-out", dependencies=[Depends(require_same_origin)])
def sign_out(request: Request) -> Response:
    """End this session; without one there is nothing to end."""
    if token := session_token(request):
        sessions.end(request.app.state.stores.control, token)
    return let_out(request)


@router.post("/sign-out/everywhere", dependencies=[Depends(require_same_origin)])
def sign_out_everywhere(request: Request) -> Response:
    """End all sessions of whoever asks, and every sign-in link of theirs that is not used yet."""
    sessions.end_all(request.app.state.stores.control, person_of(request).user_id)
    return let_out(request)


def sign_in_page(
    request: Request, after: str, title: str, detail: str, *, token: str = "", status: int = 200, back: str = ""
) -> Response:
    """How to come in, and why it did not work; `back` leads who is in already to where they were."""
    return page(
        request,
        "sign_in.html",
        token=token,
        after=after,
        title=title,
        detail=detail,
        back=back,
        status=status,
        providers=providers.offered(request),
        sign_up=request.app.state.settings.sign_up,
    )


def viewer_of(request: Request) -> Viewer:
    """Who is looking, and at which account; raises NotSignedIn, NoAccount."""
    token = session_token(request)
    viewer = sessions.find(request.app.state.stores.control, token, datetime.now(UTC)) if token else None
    if viewer is None:
        person_of(request)
        raise NoAccount("You belong to no account; make one, or ask for an invitation to one")
    return viewer


def person_of(request: Request) -> Person:
    """Who has signed in, with or without an account; raises NotSignedIn."""
    person = _person(request)
    if person is None:
        raise NotSignedIn("This page needs a session; sign in, or open your sign-in link")
    return person


def session_token(request: Request) -> str | None:
    """What the browser shows for a session, good or not."""
    return request.cookies.get(cookie_name(request.app.state.settings))


def terms_of(request: Request) -> Terms:
    """A new session for this browser, in place of the one it has."""
    settings: Settings = request.app.state.settings
    return Terms(
        idle_days=settings.session_idle_days,
        max_days=settings.session_max_days,
        browser=browsers.describe(request.headers.get("user-agent", "")),
        replaces=session_token(request),
    )


def let_in(request: Request, session: str, place: str) -> Response:
    """Give the browser its new session, and lead it on."""
    settings: Settings = request.app.state.settings
    answer = RedirectResponse(place, 303)
    answer.set_cookie(
        cookie_name(settings),
        session,
        max_age=settings.session_max_days * 86_400,
        secure=is_https(settings),
        httponly=True,
        samesite="lax",
    )
    return answer


def let_out(request: Request) -> Response:
    """Take the browser's session away, and lead it to the sign-in page."""
    settings: Settings = request.app.state.settings
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(cookie_name(settings), secure=is_https(settings), httponly=True, samesite="lax")
    return answer


def way_in(request: Request) -> str:
    """The sign-in page for who asked without a session; after it they get what they asked for."""
    if request.method != "GET":
        return "/sign-in"
    path: str = request.scope.get("raw_path", b"").decode("ascii", "replace")
    return places.sign_in_path(f"{path}?{request.url.query}" if request.url.query else path)


def cookie_name(settings: Settings, name: str = COOKIE) -> str:
    """Under https the browser itself guards the cookie: `__Host-` takes no other path, host or plain http."""
    return f"__Host-{name}" if is_https(settings) else name


def is_https(settings: Settings) -> bool:
    """Whether people reach us by https."""
    return urlsplit(settings.base_url).scheme == "https"


def _person(request: Request) -> Person | None:
    token = session_token(request)
    return sessions.find_person(request.app.state.stores.control, token, datetime.now(UTC)) if token else None
