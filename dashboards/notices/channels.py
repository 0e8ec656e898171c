"""The channels of an account, and one more."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.notices.form import BODIES, ESCAPES, Typed, draft
from dashboards.notices.sheet import REFUSALS, SAFELY, Viewing, sheet
from dashboards.notices.trying import require_sound
from domain.channels import MOST, Kind
from domain.egress import parse_allowed
from domain.errors import MetristError
from domain.permissions import Permission, require
from domain.windows import DAYS
from schema import channels, delivery_log, routes, sealing
from schema.channels import ChannelRow
from schema.sessions import Viewer

HERE = "/channels"
router = APIRouter()
Text = Annotated[str, Form(max_length=5_000)]
Template = Annotated[str, Form(max_length=20_000)]


@router.get(HERE)
def show(request: Request, viewer: Viewing, kind: Kind = Kind.WEBHOOK) -> Response:
    """All of them, and the form for another."""
    return _show(request, viewer, kind, Typed())


@router.post(HERE, dependencies=SAFELY)
def create(
    request: Request,
    viewer: Viewing,
    kind: Annotated[Kind, Form()],
    name: Text = "",
    url: Text = "",
    address: Text = "",
    body: Text = "metrist",
    headers: Text = "",
    template: Template = "",
    escapes: Text = "json",
    sealed: Text = "",
) -> Response:
    """Make one. A webhook's signing secret is in this answer and nowhere else; an address is asked first."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    state, now = request.app.state, datetime.now(UTC)
    control = state.stores.control
    typed = Typed(name, url, address, body, headers, template, escapes, sealed)
    try:
        wanted, signing = draft(kind, typed, parse_allowed(state.settings.egress_allow))
        require_sound(wanted.config, state.settings.base_url)
        sealer = sealing.open_sealer(control, state.settings, now)
        made = channels.create(control, viewer.account_id, wanted, sealer, now, actor=viewer.actor)
        if kind == Kind.EMAIL:
            delivery_log.ask(control, viewer.account_id, made.id, now)
            return RedirectResponse(f"{HERE}/{made.id}?said=asked", 303)
    except REFUSALS as refusal:
        return _show(request, viewer, kind, typed, refusal=refusal)
    return _show(request, viewer, kind, Typed(), made=made, signing=signing)


def _show(
    request: Request,
    viewer: Viewer,
    kind: Kind,
    typed: Typed,
    *,
    refusal: MetristError | None = None,
    made: ChannelRow | None = None,
    signing: str = "",
) -> Response:
    control = request.app.state.stores.control
    return sheet(
        request,
        viewer,
        "channels.html",
        "channels",
        refusal=refusal,
        channels=channels.list_for(control, viewer.account_id),
        has_routes=bool(routes.list_for(control, viewer.account_id)),
        has_mail=bool(request.app.state.settings.smtp_url.get_secret_value()),
        counts=delivery_log.counts(control, viewer.account_id),
        kind=kind.value,
        form=asdict(typed),
        bodies=BODIES,
        escapes=ESCAPES,
        days=DAYS,
        most=MOST,
        made=made,
        signing=signing,
    )
