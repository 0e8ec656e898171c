"""API keys: which there are, one more, and an end to one."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.settings.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from domain.errors import MetristError, StoreUnavailable
from domain.ids import KeyId
from domain.keys import Scope
from domain.permissions import Permission, require
from schema import api_keys
from schema.api_keys import ACTIVE_MAX, NewKey
from schema.sessions import Viewer

HERE = "/settings/keys"
IN_USE = timedelta(minutes=10)
"""A key used since then is probably some agent's, which its end would lock out."""
REVOKED_SHOWN = 50

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """The keys of the account."""
    require(viewer.role, Permission.SEE_KEYS)
    return _show(request, viewer)


@router.post(HERE, dependencies=SAFELY)
def create(
    request: Request,
    viewer: Viewing,
    name: Annotated[str, Form(max_length=1_000)] = "",
    scope: Annotated[list[str] | None, Form(max_length=10)] = None,
) -> Response:
    """Make a key and show it, this once: its secret is in this answer and nowhere else."""
    require(viewer.role, Permission.MANAGE_KEYS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        made = api_keys.create(control, viewer.account_id, name, scope or (), now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, name=name, scopes=frozenset(scope or ()))
    return _show(request, viewer, made=made)


@router.post(f"{HERE}/{{key_id}}/revoke", dependencies=SAFELY)
async def revoke(request: Request, viewer: Viewing, key_id: str) -> Response:
    """End a key, in every API process at once."""
    require(viewer.role, Permission.MANAGE_KEYS)
    stores, now = request.app.state.stores, datetime.now(UTC)
    try:
        await to_thread.run_sync(_revoke, request, viewer, KeyId(key_id), now)
    except REFUSALS as refusal:
        return await to_thread.run_sync(partial(_show, request, viewer, refusal=refusal))
    with suppress(StoreUnavailable):  # then it ends with the next look at the control DB, within seconds
        await api_keys.tell_revoked(stores.redis, KeyId(key_id))
    return done("keys", "revoked")


def _revoke(request: Request, viewer: Viewer, key_id: KeyId, now: datetime) -> None:
    api_keys.revoke(request.app.state.stores.control, viewer.account_id, key_id, now, actor=viewer.actor)


def _show(
    request: Request,
    viewer: Viewer,
    *,
    refusal: MetristError | None = None,
    made: NewKey | None = None,
    name: str = "",
    scopes: frozenset[str] = frozenset({Scope.INGEST}),
) -> Response:
    """The page; `name` and `scopes` are what stands in the form."""
    known = api_keys.list_for(request.app.state.stores.control, viewer.account_id)
    revoked = [key for key in known if key.revoked_at is not None]
    return sheet(
        request,
        viewer,
        "keys",
        refusal=refusal,
        active=[key for key in known if key.revoked_at is None],
        revoked=revoked[: -REVOKED_SHOWN - 1 : -1],
        revoked_count=len(revoked),
        used_since=datetime.now(UTC) - IN_USE,
        most=ACTIVE_MAX,
        made=made,
        form={"name": name, "scopes": scopes},
    )
