"""The account's log: sentences, newest first, found by kind, person, words and days; and all of it as a file."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from dashboards.settings.sheet import Viewing, sheet
from domain.audit import KINDS, PLATFORM, as_json, details
from domain.errors import InvalidQuery, MetristError
from domain.events import SYSTEM
from domain.ids import ENTRY_MAX
from domain.permissions import Permission, require
from schema import audit, memberships
from schema.audit import Entry, Page, Search
from schema.sessions import Viewer

HERE = "/settings/audit"
ENTRIES = 50
COLUMNS = ("time", "actor", "event", "sentence", "details", "stream", "version")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula; a node may be called =cmd|…"""

router = APIRouter()


class Asked:
    """What the page's form asked for, as text; `search` is what it means."""

    def __init__(
        self,
        kind: str = "",
        actor: Annotated[str, Query(max_length=100)] = "",
        q: Annotated[str, Query(max_length=200)] = "",
        since: Annotated[str, Query(alias="from", max_length=10)] = "",
        until: Annotated[str, Query(alias="to", max_length=10)] = "",
    ) -> None:
        self.fields = {"kind": kind, "actor": actor, "q": q, "from": since, "to": until}

    @property
    def given(self) -> dict[str, str]:
        """The fields that ask for something."""
        return {name: value for name, value in self.fields.items() if value}

    def search(self) -> Search:
        """Raises InvalidQuery for what is no day, or no kind."""
        fields = self.fields
        if fields["kind"] and fields["kind"] not in KINDS:
            raise InvalidQuery(f"There is no kind {fields['kind']}; there are {', '.join(KINDS)}")
        since, until = _midnight(fields["from"]), _midnight(fields["to"], days_on=1)
        return Search(fields["kind"], fields["actor"], fields["q"], since, until)


Asking = Annotated[Asked, Depends()]


@router.get(HERE)
def show(
    request: Request, viewer: Viewing, asked: Asking, below: Annotated[int | None, Query(ge=0, le=ENTRY_MAX)] = None
) -> Response:
    """A page of the log."""
    require(viewer.role, Permission.SEE_AUDIT)
    try:
        found = audit.read(request.app.state.stores.control, viewer.account_id, asked.search(), below, ENTRIES)
    except InvalidQuery as refusal:
        return _show(request, viewer, asked, Page([], None), refusal)
    return _show(request, viewer, asked, found, is_first=below is None)


@router.get(f"{HERE}.csv")
def download_csv(request: Request, viewer: Viewing, asked: Asking) -> Response:
    """All that the form finds, for a spreadsheet."""
    return _download(request, viewer, asked, "csv", "text/csv; charset=utf-8", _as_csv)


@router.get(f"{HERE}.ndjson")
def download_ndjson(request: Request, viewer: Viewing, asked: Asking) -> Response:
    """All that the form finds, a line of JSON each, for programs."""
    return _download(request, viewer, asked, "ndjson", "application/x-ndjson", _as_ndjson)


def _show(
    request: Request,
    viewer: Viewer,
    asked: Asked,
    found: Page,
    refusal: MetristError | None = None,
    *,
    is_first: bool = True,
) -> Response:
    members = memberships.list_for(request.app.state.stores.control, viewer.account_id)
    people = [(f"user/{member.user_id}", member.called) for member in members]
    return sheet(
        request,
        viewer,
        "audit",
        refusal=refusal,
        asked=asked.fields,
        is_asked=bool(asked.given),
        kinds=list(KINDS),
        actors=[*people, (SYSTEM, PLATFORM), ("node/", "any node")],
        entries=[(entry, _pretty(entry)) for entry in found.entries],
        looked_to=found.looked_to,
        newest=None if is_first else f"{HERE}?{urlencode(asked.given)}",
        older=None if found.older is None else f"{HERE}?{urlencode(asked.given | {'below': str(found.older)})}",
        query=f"?{urlencode(asked.given)}" if asked.given else "",
    )


def _download(
    request: Request,
    viewer: Viewer,
    asked: Asked,
    ending: str,
    media_type: str,
    write: Callable[[Sequence[Entry]], str],
) -> Response:
    require(viewer.role, Permission.SEE_AUDIT)
    batches = audit.read_all(request.app.state.stores.control, viewer.account_id, asked.search())
    name = f"audit-{datetime.now(UTC):%Y-%m-%d}.{ending}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    first = [_row(COLUMNS)] if ending == "csv" else []
    return StreamingResponse(_chunks(first, map(write, batches)), media_type=media_type, headers=headers)


def _chunks(first: Sequence[str], others: Iterable[str]) -> Iterator[str]:
    yield from first
    yield from others


def _as_csv(entries: Sequence[Entry]) -> str:
    return "".join(
        _row(
            (
                entry.event.at.isoformat(),
                entry.actor,
                entry.event.type,
                entry.sentence,
                as_json(entry.event),
                entry.event.stream,
                str(entry.event.version),
            )
        )
        for entry in entries
    )


def _row(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells)
    return written.getvalue()


def _as_ndjson(entries: Sequence[Entry]) -> str:
    lines = (
        {
            "time": entry.event.at.isoformat(),
            "actor": entry.event.actor,
            "actor_name": entry.actor,
            "event": entry.event.type,
            "sentence": entry.sentence,
            "details": details(entry.event),
            "stream": entry.event.stream,
            "version": entry.event.version,
        }
        for entry in entries
    )
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def _pretty(entry: Entry) -> str:
    about = {"event": entry.event.type, "stream": entry.event.stream, "version": entry.event.version}
    return json.dumps(about | details(entry.event), ensure_ascii=False, indent=2)


def _midnight(text: str, days_on: int = 0) -> datetime | None:
    """The midnight, in UTC, at which a day begins, or the one so many days after it."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007
        return datetime.combine(day + timedelta(days=days_on), time(), UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidQuery(f"{text} is no day; write one as 2026-01-31") from error
