"""Why a notice was sent, or not: the readings, the hold, the silence or window that matched, each delivery and try."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dashboards.conditions.common import HERE, Viewing, group_name
from dashboards.conditions.listing import value_text
from dashboards.conditions.preview import graph_of
from dashboards.format import duration
from dashboards.render import page
from dashboards.state_words import WORDS
from domain import condition_notices
from domain.condition_specs import Condition, MetricRule
from domain.conditions import State
from domain.evaluation import Group
from domain.events import Event
from domain.ids import VERSION_MAX
from domain.query import matcher_text
from schema import conditions, delivery_log, status_log
from schema.delivery_log import Attempt, Entry, Wanted
from schema.status_log import Moment

router = APIRouter()
AROUND = timedelta(minutes=15)
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One change that led there."""

    event: Event
    at: datetime
    word: str
    value: str
    message: str
    lag: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery of this change, with its tries."""

    entry: Entry
    tries: list[Attempt]


@router.get(f"{HERE}/{{condition_id}}/why")
def show(
    request: Request,
    viewer: Viewing,
    condition_id: UUID,
    group: str,
    version: Annotated[int, Query(ge=0, le=VERSION_MAX)],
) -> Response:
    """One change of one group. Raises NotFound."""
    control, account_id = request.app.state.stores.control, viewer.account_id
    found = conditions.find(control, account_id, condition_id)
    moment = status_log.moment(control, account_id, condition_id, group, version)
    wanted = Wanted(stream=moment.event.stream)
    entries, _ = delivery_log.list_for(control, account_id, wanted)
    mine = [entry for entry in entries if entry.notice.version == version][:SHOWN_MAX]
    sent = [Sent(entry, delivery_log.find(control, account_id, entry.id)[1]) for entry in mine]
    steps = [_step(event, found) for event in moment.events]
    at = steps[-1].at
    return page(
        request,
        "condition_why.html",
        viewer,
        place="conditions/why",
        condition=found,
        moment=moment,
        group=group_name(_group(moment)),
        steps=steps,
        last=steps[-1],
        sentence=condition_notices.sentence(moment.spec),
        length=condition_notices.length,
        tells=_tells(moment),
        sent=sent,
        graph=_graph(moment),
        from_s=int((at - AROUND).timestamp()),
        to_s=int((at + AROUND).timestamp()),
    )


def _group(moment: Moment) -> Group:
    return Group("", moment.event.payload["labels"])


def _step(event: Event, condition: Condition) -> Step:
    payload = event.payload
    at = datetime.fromisoformat(payload["at"]) if "at" in payload else event.at
    state = payload.get("to")
    word = (
        WORDS[State(state)] if state else {"status_ended": "ended", "status_quieted": "quiet"}.get(event.type, "seen")
    )
    lag_s = (event.at - at).total_seconds()
    return Step(
        event,
        at,
        word,
        value_text(condition, payload.get("value")),
        str(payload.get("message") or payload.get("cause") or payload.get("note") or ""),
        duration(lag_s) if lag_s >= 1 else "",
    )


def _tells(moment: Moment) -> str:
    """Whether this change gave anything to tell, in words."""
    payload = moment.event.payload
    if moment.event.type == "status_ended":
        return "It is judged no longer; whoever was told that it fires is told that this is over."
    before = [event.payload["told"] for event in moment.events[:-1] if "told" in event.payload]
    was_told = before[-1] if before else ""
    if payload["told"] == "" and was_told:
        return "It is over: whoever was told of it is told so."
    if payload["told"] != was_told:
        return "This is told."
    if payload["to"] == State.PENDING:
        return "Pending is shown and told to nobody: it has to last first."
    if payload["to"] == State.FIRING:
        return "Told before, and still so: this is not told again, unless it has grown worse."
    return "This is shown and told to nobody, as the condition says."


def _graph(moment: Moment) -> dict[str, Any] | None:
    """The group's line only."""
    graph = graph_of(moment.spec)
    if graph is not None and isinstance(moment.spec.rule, MetricRule):
        named = [matcher_text(label, "=", text) for label, text in moment.event.payload["labels"].items()]
        graph["queries"][0]["match"] = [*graph["queries"][0]["match"], *named]
    return graph
