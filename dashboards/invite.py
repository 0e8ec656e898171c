"""The page behind an invitation's link: into which account, as what, at whose word; its button lets one in.

Opening the link changes nothing, so that a mail program's preview cannot use it up. Who has not signed in is led to do
so first, and back here.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import person_of, session_token
from domain.errors import NotFound
from schema import accounts, invitations, sessions
from schema.sessions import Person

HERE = "/invite/{token}"
Personal = Annotated[Person, Depends(person_of)]

router = APIRouter(include_in_schema=False)


@router.get(HERE)
def show(token: str, request: Request, person: Personal) -> Response:
    """What the link leads to, with the button."""
    control = request.app.state.stores.control
    try:
        invitation = invitations.find(control, token, datetime.now(UTC))
    except NotFound as error:
        return page(request, "invite_gone.html", detail=error.detail, status=error.status)
    belongs = any(account.id == invitation.account_id for account in accounts.list_of(control, person.user_id))
    return page(request, "invite.html", invitation=invitation, token=token, person=person, belongs=belongs)


@router.post(HERE, dependencies=[Depends(require_same_origin)])
def accept(token: str, request: Request, person: Personal) -> Response:
    """Join the account, and look at it."""
    control = request.app.state.stores.control
    try:
        accepted = invitations.accept(control, token, person.user_id, datetime.now(UTC))
    except NotFound as error:
        return page(request, "invite_gone.html", detail=error.detail, status=error.status)
    sessions.choose(control, session_token(request) or "", accepted.account_id)
    return RedirectResponse("/nodes", 303)
