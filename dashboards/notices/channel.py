"""One channel: what it is, what it was told, and what can be done with it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.notices.form import BODIES, ESCAPES, Typed, draft, typed_of
from dashboards.notices.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from dashboards.notices.trying import require_sound
from domain.channels import Kind
from domain.egress import parse_allowed
from domain.errors import MetristError
from domain.permissions import Permission, require
from domain.windows import DAYS
from schema import channels, delivery_log, sealing
from schema.channels import ROTATES
from schema.delivery_log import Wanted
from schema.sessions import Viewer

HERE = "/channels/{channel_id}"
LATEST = 10
router = APIRouter()
Text = Annotated[str, Form(max_length=5_000)]
Template = Annotated[str, Form(max_length=20_000)]


@router.get(HERE)
def show(request: Request, viewer: Viewing, channel_id: UUID) -> Response:
    """What there is to see of it. Raises NotFound."""
    return _show(request, viewer, channel_id)


@router.post(HERE, dependencies=SAFELY)
def change(
    request: Request,
    viewer: Viewing,
    channel_id: UUID,
    name: Text = "",
    url: Text = "",
    address: Text = "",
    body: Text = "metrist",
    headers: Text = "",
    template: Template = "",
    escapes: Text = "json",
    sealed: Text = "",
    days: Annotated[list[str] | None, Form(max_length=7)] = None,
    begins: Text = "",
    ends: Text = "",
    zone: Text = "UTC",
) -> Response:
    """Another name, place, dialect or quiet hours; what is secret and left empty stays."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    state, now = request.app.state, datetime.now(UTC)
    control, sealer = state.stores.control, sealing.open_sealer(state.stores.control, state.settings, now)
    found = channels.find(control, viewer.account_id, channel_id)
    own = (template, escapes, sealed)
    typed = Typed(name, url, address, body, headers, *own, days or (), begins, ends, zone, found.config)
    try:
        known = channels.secrets_of(control, found, sealer, now)
        wanted, _ = draft(found.kind, typed, parse_allowed(state.settings.egress_allow), known[0] if known else None)
        require_sound(wanted.config, state.settings.base_url)
        changed = channels.change(control, viewer.account_id, channel_id, wanted, sealer, now, actor=viewer.actor)
        if found.is_verified and not changed.is_verified:
            delivery_log.ask(control, viewer.account_id, channel_id, now)
    except REFUSALS as refusal:
        return _show(request, viewer, channel_id, refusal=refusal, typed=typed)
    return done(f"/channels/{channel_id}", "saved" if changed.is_verified else "asked")


@router.post(f"{HERE}/test", dependencies=SAFELY)
def test(request: Request, viewer: Viewing, channel_id: UUID) -> Response:
    """Send it a test; its delivery's page shows what comes of it."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        made = delivery_log.test(control, viewer.account_id, channel_id, now)
    except REFUSALS as refusal:
        return _show(request, viewer, channel_id, refusal=refusal)
    return RedirectResponse(f"/deliveries/{made}", 303)


@router.post(f"{HERE}/ask", dependencies=SAFELY)
def ask(request: Request, viewer: Viewing, channel_id: UUID) -> Response:
    """Ask the address once more."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        delivery_log.ask(control, viewer.account_id, channel_id, now)
    except REFUSALS as refusal:
        return _show(request, viewer, channel_id, refusal=refusal)
    return done(f"/channels/{channel_id}", "asked")


@router.post(f"{HERE}/rotate", dependencies=SAFELY)
def rotate(request: Request, viewer: Viewing, channel_id: UUID) -> Response:
    """A new signing secret, in this answer and nowhere else."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    state, now = request.app.state, datetime.now(UTC)
    sealer = sealing.open_sealer(state.stores.control, state.settings, now)
    try:
        signing = channels.rotate(state.stores.control, viewer.account_id, channel_id, sealer, now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, channel_id, refusal=refusal)
    return _show(request, viewer, channel_id, signing=signing)


@router.post(f"{HERE}/switch", dependencies=SAFELY)
def switch(request: Request, viewer: Viewing, channel_id: UUID, on: Annotated[bool, Form()] = False) -> Response:
    """Turn it on or off."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    channels.switch(control, viewer.account_id, channel_id, on, now, actor=viewer.actor)
    return done(f"/channels/{channel_id}", "on" if on else "off")


@router.post(f"{HERE}/remove", dependencies=SAFELY)
def remove(request: Request, viewer: Viewing, channel_id: UUID) -> Response:
    """Delete it."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        channels.remove(control, viewer.account_id, channel_id, now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, channel_id, refusal=refusal)
    return done("/channels", "removed")


def _show(
    request: Request,
    viewer: Viewer,
    channel_id: UUID,
    *,
    refusal: MetristError | None = None,
    typed: Typed | None = None,
    signing: str = "",
) -> Response:
    control = request.app.state.stores.control
    found = channels.find(control, viewer.account_id, channel_id)
    entries, _ = delivery_log.list_for(control, viewer.account_id, Wanted(channel_id=channel_id))
    return sheet(
        request,
        viewer,
        "channel.html",
        "channels",
        refusal=refusal,
        channel=found,
        is_webhook=found.kind == Kind.WEBHOOK,
        has_mail=bool(request.app.state.settings.smtp_url.get_secret_value()),
        form=asdict(typed or typed_of(found)),
        bodies=BODIES,
        escapes=ESCAPES,
        days=DAYS,
        entries=entries[:LATEST],
        signing=signing,
        rotates_h=int(ROTATES.total_seconds() // 3600),
    )
