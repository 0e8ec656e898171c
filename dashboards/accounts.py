"""Several accounts: looking at another one, and making a new one."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import person_of, session_token
from domain.errors import InvalidBody, LimitReached
from domain.ids import AccountId
from schema import accounts, sessions
from schema.sessions import Person

Personal = Annotated[Person, Depends(person_of)]
SAFELY = [Depends(require_same_origin)]

router = APIRouter(include_in_schema=False)


@router.post("/accounts/switch", dependencies=SAFELY)
def switch(request: Request, _person: Personal, account: Annotated[UUID, Form()]) -> Response:
    """Look at another account from now on. Raises NotFound for one they do not belong to."""
    sessions.choose(request.app.state.stores.control, session_token(request) or "", AccountId(account))
    return RedirectResponse("/nodes", 303)


@router.get("/accounts/new")
def show(request: Request, person: Personal) -> Response:
    """The form for a new account; who belongs to none is led here."""
    return _show(request, person)


@router.post("/accounts/new", dependencies=SAFELY)
def create(request: Request, person: Personal, name: Annotated[str, Form(max_length=1_000)] = "") -> Response:
    """Make an account with this person as its owner, and look at it."""
    control = request.app.state.stores.control
    try:
        made = accounts.create_for(control, name, person.user_id, datetime.now(UTC))
    except (InvalidBody, LimitReached) as refusal:
        return _show(request, person, refusal.detail, refusal.status, name)
    sessions.choose(control, session_token(request) or "", made.id)
    return RedirectResponse("/nodes", 303)


def _show(request: Request, person: Person, refusal: str = "", status: int = 200, name: str = "") -> Response:
    belongs = bool(accounts.list_of(request.app.state.stores.control, person.user_id))
    return page(
        request, "account_new.html", status=status, person=person, belongs=belongs, refusal=refusal, said="", name=name
    )
