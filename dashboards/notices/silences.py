"""Silences, once or each week: what is not told for a while."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.notices.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from domain import windows
from domain.errors import InvalidBody, MetristError
from domain.permissions import Permission, require
from domain.silences import parse_match
from domain.windows import DAYS, check_zone
from schema import silences
from schema.sessions import Viewer
from schema.silences import Draft, SilenceRow

HERE = "/silences"
LASTS = {"1": "1 hour", "2": "2 hours", "8": "8 hours", "24": "1 day", "72": "3 days", "168": "1 week"}
router = APIRouter()
Text = Annotated[str, Form(max_length=5_000)]
Days = Annotated[list[str] | None, Form(max_length=7)]


@router.get(HERE)
def show(request: Request, viewer: Viewing, match: str = "") -> Response:
    """What is silent, and what will be; `match` fills the form, for links from elsewhere."""
    return _show(request, viewer, typed=_typed(match=match[:5_000]))


@router.post(HERE, dependencies=SAFELY)
def create(
    request: Request,
    viewer: Viewing,
    match: Text = "",
    note: Text = "",
    hours: Text = "2",
    starts: Text = "",
    until: Text = "",
    days: Days = None,
    begins: Text = "",
    ends: Text = "",
    zone: Text = "UTC",
) -> Response:
    """From now for so long, between two times, or each week."""
    require(viewer.role, Permission.SILENCE)
    typed = _typed(match, note, hours, starts, until, days, begins, ends, zone)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        silences.create(control, viewer.account_id, _draft(typed, now), now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, typed=typed)
    return done(HERE, "silenced")


@router.get(f"{HERE}/{{silence_id}}")
def edit(request: Request, viewer: Viewing, silence_id: UUID) -> Response:
    """The form of one. Raises NotFound."""
    found = silences.find(request.app.state.stores.control, viewer.account_id, silence_id)
    return _show(request, viewer, typed=_typed_of(found), silence_id=silence_id)


@router.post(f"{HERE}/{{silence_id}}", dependencies=SAFELY)
def change(
    request: Request,
    viewer: Viewing,
    silence_id: UUID,
    match: Text = "",
    note: Text = "",
    starts: Text = "",
    until: Text = "",
    days: Days = None,
    begins: Text = "",
    ends: Text = "",
    zone: Text = "UTC",
) -> Response:
    """Other matchers or times."""
    require(viewer.role, Permission.SILENCE)
    typed = _typed(match, note, "", starts, until, days, begins, ends, zone)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        silences.change(control, viewer.account_id, silence_id, _draft(typed, now), now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, typed=typed, silence_id=silence_id)
    return done(HERE, "silenced")


@router.post(f"{HERE}/{{silence_id}}/end", dependencies=SAFELY)
def end(request: Request, viewer: Viewing, silence_id: UUID) -> Response:
    """End it now."""
    require(viewer.role, Permission.SILENCE)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    silences.end(control, viewer.account_id, silence_id, now, actor=viewer.actor)
    return done(HERE, "ended")


def _typed(
    match: str = "",
    note: str = "",
    hours: str = "2",
    starts: str = "",
    until: str = "",
    days: list[str] | None = None,
    begins: str = "02:00",
    ends: str = "04:00",
    zone: str = "UTC",
) -> dict[str, Any]:
    return {
        "match": match, "note": note, "hours": hours, "starts": starts, "until": until, "days": days or [],
        "begins": begins, "ends": ends, "zone": zone,
    }  # fmt: skip


def _typed_of(row: SilenceRow) -> dict[str, Any]:
    one, zone = row.silence, row.silence.weekly.zone if row.silence.weekly else "UTC"
    typed = _typed("\n".join(one.match), one.note, "", _local(one.starts_at, zone), zone=zone)
    typed["until"] = _local(one.ends_at, zone) if one.ends_at else ""
    if one.weekly:
        last = datetime.combine(one.starts_at.date(), one.weekly.begins) + one.weekly.lasts
        typed |= {"days": [DAYS[day] for day in one.weekly.days], "begins": f"{one.weekly.begins:%H:%M}"}
        typed |= {"ends": f"{last:%H:%M}"}
    return typed


def _draft(typed: dict[str, Any], now: datetime) -> Draft:
    weekly = windows.parse(typed["days"], typed["begins"], typed["ends"], typed["zone"]) if typed["days"] else None
    zone = check_zone(typed["zone"])
    starts_at = _instant(typed["starts"], zone) or now
    ends_at = _instant(typed["until"], zone)
    if ends_at is None and weekly is None:
        ends_at = starts_at + _lasts(typed["hours"])
    return Draft(parse_match(typed["match"]), starts_at, ends_at, weekly, typed["note"])


def _lasts(hours: str) -> timedelta:
    if hours not in LASTS:
        raise InvalidBody("Say for how long, or until when")
    return timedelta(hours=int(hours))


def _instant(text: str, zone: str) -> datetime | None:
    """As browsers write a local date and time. Raises InvalidBody."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidBody(f"“{text[:30]}” is no date and time") from None


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"


def _show(
    request: Request,
    viewer: Viewer,
    *,
    typed: dict[str, Any],
    refusal: MetristError | None = None,
    silence_id: UUID | None = None,
) -> Response:
    control, now = request.app.state.stores.control, datetime.now(UTC)
    found = silences.list_open(control, viewer.account_id, now)
    return sheet(
        request,
        viewer,
        "silences.html",
        "silences",
        refusal=refusal,
        holding=[(row, end) for row in found if (end := row.silence.until(now))],
        coming=[(row, _begins(row, now)) for row in found if not row.silence.until(now)],
        past=silences.list_past(control, viewer.account_id, now),
        described=windows.described,
        form=typed,
        silence_id=silence_id,
        lasts=LASTS,
        days=DAYS,
    )


def _begins(row: SilenceRow, now: datetime) -> datetime:
    first = max(now, row.silence.starts_at)
    return row.silence.weekly.next_start(first) if row.silence.weekly else first
