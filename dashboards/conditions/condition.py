"""One condition's page: what it says of each group, its values with the limit, what became of it until now."""

from dataclasses import dataclass
from datetime import datetime
from time import time
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.conditions.common import HERE, Viewing, group_name, place, said
from dashboards.conditions.listing import latest_of, opened
from dashboards.conditions.preview import graph_of
from dashboards.render import page
from domain import audit, condition_notices
from domain.conditions import State
from domain.evaluation import Group
from domain.events import Event, key_of, kind_of
from domain.notice_sentences import MOVED
from schema import conditions, status_log, statuses
from schema.status_log import Told

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the timeline; `at` is the instant that was judged."""

    at: datetime
    sentence: str
    state: str
    why: str


@router.get(f"{HERE}/{{condition_id}}")
async def show(request: Request, viewer: Viewing, condition_id: UUID, before: int | None = None) -> Response:
    """The page of one condition. Raises NotFound."""
    control, account_id = request.app.state.stores.control, viewer.account_id
    found = await to_thread.run_sync(conditions.find, control, account_id, condition_id)
    rows = await to_thread.run_sync(statuses.of_condition, control, account_id, condition_id)
    history = await to_thread.run_sync(status_log.page, control, account_id, condition_id, before)
    names = await to_thread.run_sync(statuses.people, control, rows)
    bad = [row for row in rows if row.status.state != State.OK]
    values = await latest_of(request, viewer, bad)
    return page(
        request,
        "condition.html",
        viewer,
        place="conditions/one",
        refusal="",
        said=said(request),
        condition=found,
        sentence=condition_notices.sentence(found.spec),
        open=opened(bad, {found.id: found}, values, names),
        calm=[(group_name(row.group), row) for row in rows if row.status.state == State.OK],
        lines=[_line(told, condition_id) for told in history.events],
        older=history.events[-1].event.seq if history.has_older else None,
        graph=graph_of(found.spec),
        to_s=int(time()),
        before=before,
    )


def _line(told: Told, condition_id: UUID) -> Line:
    event = told.event
    names = audit.Names({key_of(event.actor)[0]: told.by} if told.by and kind_of(event.actor) == "user" else {})
    state = str(event.payload.get("to", "")) if event.type == "status_moved" else ""
    is_status = kind_of(event.stream) == "status" and event.type in ("status_moved", "status_ended")
    why = place(condition_id, "why", group=key_of(event.stream)[1], version=event.version) if is_status else ""
    at = datetime.fromisoformat(event.payload["at"]) if "at" in event.payload else event.at
    return Line(at, _sentence(event, names), state, why)


def _sentence(event: Event, names: audit.Names) -> str:
    """Of a group without the condition's name, which the page has above; of the condition itself as everywhere."""
    if event.type != "status_moved":
        return audit.sentence(event, names)
    group = group_name(Group("", event.payload["labels"]))
    moved = MOVED[event.payload["to"]]
    message = f": {event.payload['message']}" if event.payload["message"] else ""
    return f"{group or 'It'} {moved}{message}"
