"""Signing in through a provider: leave, come back, and be let in, or be told why not.

A flow begins with a POST from our own page, so that no other site can sign anybody in as somebody else. The browser
leaves by a page that refreshes itself: `form-action 'self'` would stop a redirect, in Chromium also each further one
that a provider makes to its own sign-in hosts, and the policy need not open for hosts nobody knows beforehand.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards import flows, providers, signin
from dashboards.flows import Flow
from dashboards.headers import require_same_origin
from dashboards.providers import Provider
from dashboards.render import page
from domain import places
from domain.errors import NotFound, SignInLost, SignInRefused, SignUpClosed
from domain.identities import Profile
from domain.settings import Settings
from schema import identities, invitations, server_secrets, sessions

log = structlog.get_logger()

LOST = (
    "It was begun in another browser or at another address, more than ten minutes ago, or it is finished already. "
    "Start again here, at {address}."
)
OTHER = "Somebody else has signed in here since you began to connect this; begin again in your settings."
SETTINGS = "/settings/you"
INVITE = "/invite/"

router = APIRouter(include_in_schema=False)


@router.get("/sign-in/{provider}")
def show_start(provider: str) -> Response:
    """Reloading a flow's first page begins none."""
    return RedirectResponse("/sign-in", 303)


@router.post("/sign-in/{provider}", dependencies=[Depends(require_same_origin)])
async def begin(
    request: Request,
    provider: str,
    after: Annotated[str, Form(alias="next")] = "",
    connect: Annotated[bool, Form()] = False,
) -> Response:
    """Leave for the provider; `connect` to add an identity to whoever is signed in."""
    asked = _provider(request, provider)
    person = await to_thread.run_sync(signin.person_of, request) if connect else None
    request.scope["session"] = {}
    place = places.local_path(after)
    try:
        url, state = await asked.begin(request, f"{_address(request)}/sign-in/{asked.key}/callback")
    except SignInRefused as refusal:
        return _refused(request, refusal, place, is_connecting=connect)
    answer = page(request, "leave.html", url=url, name=asked.name)
    flow = Flow(request.session, place, person.user_id if person else None)
    flows.keep(request, answer, await _key(request), state, flow)
    return answer


@router.get("/sign-in/{provider}/callback")
async def finish(request: Request, provider: str, state: str = "") -> Response:
    """Come back from the provider."""
    asked = _provider(request, provider)
    flow = flows.find(request, await _key(request), state)
    try:
        answer = await _finish(request, asked, flow)
    except SignInRefused as refusal:
        leads_on = flow is not None and not isinstance(refusal, SignUpClosed)  # a bad invitation is worth no other try
        place = flow.after if flow and leads_on else places.START
        answer = _refused(request, refusal, place, is_connecting=bool(flow and flow.user_id))
    flows.end(request, answer, state)
    return answer


@router.post(SETTINGS + "/disconnect", dependencies=[Depends(require_same_origin)])
def disconnect(request: Request, provider: Annotated[str, Form(max_length=32)]) -> Response:
    """Take a way to sign in away from whoever asks."""
    person = signin.person_of(request)
    identities.unlink(request.app.state.stores.control, person.user_id, provider, datetime.now(UTC))
    return RedirectResponse(SETTINGS, 303)


async def _finish(request: Request, asked: Provider, flow: Flow | None) -> Response:
    if flow is None:
        raise SignInLost(LOST.format(address=_address(request)))
    request.scope["session"] = dict(flow.session)
    profile = await asked.finish(request)
    act = partial(_connect if flow.user_id else _sign_in, request, flow, profile)
    return await to_thread.run_sync(act)


def _sign_in(request: Request, flow: Flow, profile: Profile) -> Response:
    control, now = request.app.state.stores.control, datetime.now(UTC)
    user_id = identities.enter(control, profile, now, may_register=_may_register(request, flow))
    session = sessions.start(control, user_id, now, signin.terms_of(request))
    log.info("signed_in", user_id=str(user_id), provider=profile.provider)
    return signin.let_in(request, session, flow.after)


def _connect(request: Request, flow: Flow, profile: Profile) -> Response:
    person = signin.person_of(request)
    if person.user_id != flow.user_id:
        raise SignInLost(OTHER)
    identities.link(request.app.state.stores.control, person.user_id, profile, datetime.now(UTC))
    return RedirectResponse(flow.after, 303)


def _may_register(request: Request, flow: Flow) -> bool:
    settings: Settings = request.app.state.settings
    match settings.sign_up:
        case "open":
            return True
        case "closed":
            return False
        case "invited":
            return _is_invited(request, flow.after)


def _is_invited(request: Request, after: str) -> bool:
    """Whether they come from an invitation that is good."""
    if not after.startswith(INVITE):
        return False
    try:
        invitations.find(request.app.state.stores.control, after.removeprefix(INVITE), datetime.now(UTC))
    except NotFound:
        return False
    return True


def _refused(request: Request, refusal: SignInRefused, after: str, *, is_connecting: bool) -> Response:
    """The way in again, or back to the settings, with what happened."""
    return signin.sign_in_page(
        request, after, refusal.title, refusal.detail, status=refusal.status, back=SETTINGS if is_connecting else ""
    )


def _provider(request: Request, key: str) -> Provider:
    found = providers.offered(request).get(key)
    if found is None:
        raise NotFound(f"Nobody signs in here through {key}")
    return found


async def _key(request: Request) -> bytes:
    """What flows are signed with: the operator's, or one made once for all processes."""
    state = request.app.state
    settings: Settings = state.settings
    given = settings.secret_key.get_secret_value()
    if given:
        return given.encode()
    if not hasattr(state, "flow_key"):
        make = partial(server_secrets.get_or_create, state.stores.control, "sign-in", datetime.now(UTC))
        state.flow_key = await to_thread.run_sync(make)
    key: bytes = state.flow_key
    return key


def _address(request: Request) -> str:
    settings: Settings = request.app.state.settings
    return settings.base_url
