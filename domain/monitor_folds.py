"""How the events of a monitor, `monitor/<uuid>`, fold: part of domain.events.FOLDS.

Shipped folds are frozen like migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from domain.events import Event, Fold, Row


def _created(row: Row | None, event: Event) -> Row:
    return {
        "id": UUID(event.stream.partition("/")[2]),
        "account_id": UUID(event.payload["account_id"]),
        "name": event.payload["name"],
        "target": event.payload["target"],
        "head": 1,
        "document": event.payload["document"],
        "good": 0,
        "good_document": {},
        "pushed": 0,
        "pushed_document": {},
        "stage": "none",
        "stage_since": event.at,
        "canaries": [],
        "reason": "",
        "is_paused": False,
        "created_by": event.actor,
        "created_at": event.at,
        "saved_by": event.actor,
        "saved_at": event.at,
    }


def _saved(row: Row | None, event: Event) -> Row:
    known = {**_known(row, event), "head": event.payload["number"], "document": event.payload["document"]}
    return {**known, "saved_by": event.actor, "saved_at": event.at}


def _retargeted(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "target": event.payload["target"]}


def _pushed(row: Row | None, event: Event) -> Row:
    payload = event.payload
    what = {"pushed": payload["number"], "pushed_document": payload["document"]}
    return {**_known(row, event), **what, **_stage("canary", event), "canaries": [], "reason": ""}


def _staged(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), **_stage(event.payload["stage"], event), "canaries": event.payload["canaries"]}


def _rolled_out(row: Row | None, event: Event) -> Row:
    known = _known(row, event)
    good = {"good": known["pushed"], "good_document": known["pushed_document"]}
    return {**known, **good, **_stage("done", event), "canaries": [], "reason": ""}


def _halted(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), **_stage("halted", event), "canaries": [], "reason": event.payload["reason"]}


def _stage(stage: str, event: Event) -> Row:
    return {"stage": stage, "stage_since": event.at}


def _switched(is_paused: bool) -> Fold:
    def switched(row: Row | None, event: Event) -> Row:
        known = _known(row, event)
        return {**known, "is_paused": is_paused, "stage_since": event.at}

    return switched


def _removed(row: Row | None, event: Event) -> None:
    return None


def _known(row: Row | None, event: Event) -> Row:
    if row is None:
        raise ValueError(f"{event.type} is the first event of {event.stream}")
    return row


MONITOR_FOLDS: dict[str, Fold] = {
    "monitor_created": _created,
    "monitor_saved": _saved,
    "monitor_retargeted": _retargeted,
    "monitor_pushed": _pushed,
    "monitor_staged": _staged,
    "monitor_rolled_out": _rolled_out,
    "monitor_halted": _halted,
    "monitor_paused": _switched(True),
    "monitor_resumed": _switched(False),
    "monitor_removed": _removed,
}
