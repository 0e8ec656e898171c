"""Who belongs to the account: roles, invitations by link, and handing the account over."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.settings.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from domain.accounts import Role
from domain.errors import MetristError
from domain.ids import UserId
from domain.invitations import LASTS
from domain.permissions import Permission, may, require, to_grant
from schema import invitations, memberships
from schema.sessions import Viewer

HERE = "/settings/people"
MAY_DO = {
    Role.VIEWER: "sees nodes, graphs and people",
    Role.ADMIN: "also manages keys, nodes, people and settings",
    Role.OWNER: "also makes owners, and may delete the account",
}

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """Everyone, and what waits to be accepted."""
    return _show(request, viewer)


@router.post(HERE, dependencies=SAFELY)
def invite(
    request: Request, viewer: Viewing, role: Annotated[Role, Form()], note: Annotated[str, Form(max_length=1_000)] = ""
) -> Response:
    """Make a link for one person, and show it this once."""
    require(viewer.role, to_grant(None, role))
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        made = invitations.create(control, viewer.account_id, role, note, now, by=viewer.user_id)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return _show(request, viewer, link=f"{request.app.state.settings.base_url}/invite/{made.token}")


@router.post(f"{HERE}/invitations/{{invitation_id}}/revoke", dependencies=SAFELY)
def revoke(invitation_id: str, request: Request, viewer: Viewing) -> Response:
    """End an invitation that nobody has accepted yet."""
    require(viewer.role, Permission.INVITE)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        invitations.revoke(control, viewer.account_id, invitation_id, now, by=viewer.user_id)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return done("people", "withdrawn")


@router.post(f"{HERE}/{{user_id}}/role", dependencies=SAFELY)
def change_role(user_id: UUID, request: Request, viewer: Viewing, role: Annotated[Role, Form()]) -> Response:
    """Give someone another role."""
    require(viewer.role, Permission.MANAGE_PEOPLE)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        memberships.change(control, viewer.account_id, UserId(user_id), role, now, by=viewer.user_id)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return done("people", "role")


@router.post(f"{HERE}/{{user_id}}/remove", dependencies=SAFELY)
def remove(user_id: UUID, request: Request, viewer: Viewing) -> Response:
    """Take someone out of the account; oneself takes no permission."""
    is_me = user_id == viewer.user_id
    if not is_me:
        require(viewer.role, Permission.MANAGE_PEOPLE)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        memberships.remove(control, viewer.account_id, UserId(user_id), now, by=viewer.user_id)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return RedirectResponse("/nodes", 303) if is_me else done("people", "removed")


@router.post(f"{HERE}/transfer", dependencies=SAFELY)
def transfer(request: Request, viewer: Viewing, to: Annotated[UUID, Form()]) -> Response:
    """Hand the account to another member, and stay as an admin."""
    require(viewer.role, Permission.MANAGE_OWNERS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        memberships.transfer(control, viewer.account_id, UserId(to), now, by=viewer.user_id)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return done("people", "transferred")


def _show(request: Request, viewer: Viewer, refusal: MetristError | None = None, link: str = "") -> Response:
    control, now = request.app.state.stores.control, datetime.now(UTC)
    can_invite = may(viewer.role, Permission.INVITE)
    return sheet(
        request,
        viewer,
        "people",
        refusal=refusal,
        link=link,
        lasts_days=LASTS.days,
        members=memberships.list_for(control, viewer.account_id),
        waiting=invitations.list_open(control, viewer.account_id, now) if can_invite else [],
        roles=[role for role in MAY_DO if may(viewer.role, to_grant(None, role))],
        may_do=MAY_DO,
        may_change=lambda role: may(viewer.role, to_grant(role, None)),
    )
