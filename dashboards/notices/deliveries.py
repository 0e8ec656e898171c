"""The log of deliveries: what was sent, or not and why, with every try; and sending again."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.notices.sheet import REFUSALS, SAFELY, Viewing, sheet
from domain.deliveries import LASTS, State
from domain.errors import MetristError
from domain.permissions import Permission, require
from domain.webhooks import sentence
from schema import channels, delivery_log
from schema.delivery_log import KEPT, Wanted
from schema.sessions import Viewer

HERE = "/deliveries"
PAGES_MAX = 1_000
router = APIRouter()


@router.get(HERE)
def show(
    request: Request,
    viewer: Viewing,
    state: str = "",
    channel: str = "",
    page: Annotated[int, Query(ge=1, le=PAGES_MAX)] = 1,
) -> Response:
    """A page of the log, the newest first."""
    control = request.app.state.stores.control
    wanted = Wanted(_state(state), _uuid(channel))
    entries, has_more = delivery_log.list_for(control, viewer.account_id, wanted, page)

    def at(number: int) -> str:
        asked = {"state": state, "channel": channel, "page": str(number) if number > 1 else ""}
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"{HERE}?{query}" if query else HERE

    return sheet(
        request,
        viewer,
        "deliveries.html",
        "deliveries",
        entries=entries,
        sentence=sentence,
        counts=delivery_log.counts(control, viewer.account_id),
        channels=channels.list_for(control, viewer.account_id),
        asked={"state": state, "channel": channel},
        states=list(State),
        kept_days=KEPT.days,
        newer=at(page - 1) if page > 1 else "",
        older=at(page + 1) if has_more else "",
    )


@router.get(f"{HERE}/{{delivery_id}}")
def show_one(request: Request, viewer: Viewing, delivery_id: UUID) -> Response:
    """One of them with all its tries. Raises NotFound."""
    return _show(request, viewer, delivery_id)


@router.post(f"{HERE}/{{delivery_id}}/again", dependencies=SAFELY)
def send_again(request: Request, viewer: Viewing, delivery_id: UUID) -> Response:
    """The same once more; what waits is tried at once."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        made = delivery_log.send_again(control, viewer.account_id, delivery_id, now)
    except REFUSALS as refusal:
        return _show(request, viewer, delivery_id, refusal=refusal)
    return RedirectResponse(f"{HERE}/{made}?said=again", 303)


def _show(request: Request, viewer: Viewer, delivery_id: UUID, *, refusal: MetristError | None = None) -> Response:
    entry, tries = delivery_log.find(request.app.state.stores.control, viewer.account_id, delivery_id)
    return sheet(
        request,
        viewer,
        "delivery.html",
        "deliveries",
        refusal=refusal,
        entry=entry,
        tries=tries,
        sentence=sentence,
        lasts_h=int(LASTS.total_seconds() // 3600),
    )


def _state(text: str) -> State | None:
    return State(text) if text in set(State) else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
