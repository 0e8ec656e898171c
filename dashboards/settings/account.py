"""The account itself: its name, when its silent nodes are given up, how long samples are kept, and its end."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.format import duration
from dashboards.settings.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from domain.accounts import DEREGISTER_MOST_S, check_deregister_after
from domain.errors import InvalidBody, MetristError, NotFound, StoreUnavailable
from domain.ids import KeyId
from domain.permissions import Permission, require
from domain.settings import Settings
from schema import accounts, api_keys, memberships
from schema.sessions import Viewer

HERE = "/settings/account"
Text = Annotated[str, Form(max_length=1_000)]

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """The account as it is."""
    return _show(request, viewer)


@router.post(f"{HERE}/name", dependencies=SAFELY)
def rename(request: Request, viewer: Viewing, name: Text = "") -> Response:
    """Give the account another name."""
    require(viewer.role, Permission.CONFIGURE)
    control = request.app.state.stores.control
    try:
        accounts.rename(control, viewer.account_id, name, datetime.now(UTC), actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return done("account", "renamed")


@router.post(f"{HERE}/deregistration", dependencies=SAFELY)
def configure(request: Request, viewer: Viewing, hours: Text = "", minutes: Text = "") -> Response:
    """Set after which silence a node is given up; nothing in both fields leaves it to the platform."""
    require(viewer.role, Permission.CONFIGURE)
    control = request.app.state.stores.control
    try:
        after_s = _seconds(hours, minutes)
        if after_s is not None:
            check_deregister_after(after_s, _offline_after_s(request.app.state.settings))
        accounts.configure(control, viewer.account_id, after_s, datetime.now(UTC), actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return done("account", "configured")


@router.post(f"{HERE}/leave", dependencies=SAFELY)
def leave(request: Request, viewer: Viewing) -> Response:
    """Belong to the account no more."""
    control, me = request.app.state.stores.control, viewer.user_id
    try:
        memberships.remove(control, viewer.account_id, me, datetime.now(UTC), by=me)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal)
    return RedirectResponse("/nodes", 303)


@router.post(f"{HERE}/delete", dependencies=SAFELY)
async def delete(request: Request, viewer: Viewing, name: Text = "") -> Response:
    """End the account with everything in it; typing its name is what keeps a slip from doing so."""
    require(viewer.role, Permission.DELETE_ACCOUNT)
    if name.strip() != viewer.account_name:
        detail = f"That is not the account's name. To delete it, type {viewer.account_name}"
        return await to_thread.run_sync(_show, request, viewer, InvalidBody(detail))
    stores = request.app.state.stores
    keys = await to_thread.run_sync(_delete, request, viewer)
    with suppress(StoreUnavailable):  # then they end with the next look at the control DB, within seconds
        for key_id in keys:
            await api_keys.tell_revoked(stores.redis, key_id)
    return RedirectResponse("/nodes", 303)


def _delete(request: Request, viewer: Viewer) -> list[KeyId]:
    """The keys that worked until now."""
    control = request.app.state.stores.control
    known = api_keys.list_for(control, viewer.account_id)
    accounts.delete(control, viewer.account_id, datetime.now(UTC), actor=viewer.actor)
    return [key.id for key in known if key.revoked_at is None]


def _show(request: Request, viewer: Viewer, refusal: MetristError | None = None) -> Response:
    account = accounts.find(request.app.state.stores.control, viewer.account_id)
    if account is None:
        raise NotFound("This account has just been deleted")
    settings: Settings = request.app.state.settings
    own_s = account.deregister_after_s
    return sheet(
        request,
        viewer,
        "account",
        refusal=refusal,
        account=account,
        own=None if own_s is None else divmod(own_s // 60, 60),
        applies=duration(settings.deregister_after_s if own_s is None else own_s),
        usual=duration(settings.deregister_after_s),
        least=duration(_offline_after_s(settings)),
        most=duration(DEREGISTER_MOST_S),
        tiers=_tiers(settings),
    )


def _tiers(settings: Settings) -> list[tuple[str, int, str]]:
    """Each resolution, for how many days it is kept, and what it is for."""
    return [
        (
            "Single samples",
            settings.raw_retention_days,
            "Every value as it was sent; short ranges are drawn from them.",
        ),
        (
            "One minute",
            settings.minute_retention_days,
            "Least, greatest, average and last value of each minute; days and weeks.",
        ),
        (
            "One hour",
            settings.hour_retention_days,
            "The same of each hour; months and years. Older samples are not taken.",
        ),
    ]


def _offline_after_s(settings: Settings) -> int:
    """A node is offline after so long; it cannot be given up before."""
    return settings.ping_interval_s * max(settings.late_after_pings, settings.offline_after_pings)


def _seconds(hours: str, minutes: str) -> int | None:
    """What two fields say together; None when both are empty. Raises InvalidBody."""
    given = [field.strip() for field in (hours, minutes)]
    if not any(given):
        return None
    if not all((field.isascii() and field.isdecimal()) or not field for field in given) or max(map(len, given)) > 6:
        raise InvalidBody("Hours and minutes are whole numbers")
    return int(given[0] or 0) * 3_600 + int(given[1] or 0) * 60
