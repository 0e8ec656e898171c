"""How the events of conditions, their statuses and what tells of them fold: part of domain.events.FOLDS.

`condition/<uuid>`, `status/<condition>/<SHA-256 of the group's labels>`, `channel/<uuid>`, `route/<uuid>`,
`silence/<uuid>`. Shipped folds are frozen like migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from domain.events import Event, Fold, Json, Row


def _condition_created(row: Row | None, event: Event) -> Row:
    payload = event.payload
    return {
        **_owned(event),
        "name": payload["name"],
        "kind": payload["kind"],
        "spec": payload["spec"],
        "is_enabled": True,
        "created_at": event.at,
    }


def _condition_changed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "name": event.payload["name"], "spec": event.payload["spec"]}


def _switched(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "is_enabled": event.payload["is_enabled"]}


def _status_moved(row: Row | None, event: Event) -> Row:
    """`at` is the instant that was judged, which lies before the event's own time when we had to catch up."""
    payload = event.payload
    _, condition_id, group_sha256 = event.stream.split("/")
    is_over = payload["told"] == ""
    acknowledged = _NOT_ACKNOWLEDGED if row is None or is_over else {key: row[key] for key in _NOT_ACKNOWLEDGED}
    return {
        "condition_id": UUID(condition_id),
        "group_sha256": group_sha256,
        "account_id": UUID(payload["account_id"]),
        "labels": payload["labels"],
        "state": payload["to"],
        "severity": payload["severity"],
        "since": datetime.fromisoformat(payload["at"]),
        "value": payload["value"],
        "message": payload["message"],
        "reading_at": _instant(payload["reading_at"]),
        "pending_since": _instant(payload["pending_since"]),
        "quiet_since": _instant(payload["quiet_since"]),
        "told": payload["told"],
        "told_since": _instant(payload["told_since"]),
        **acknowledged,
    }


_NOT_ACKNOWLEDGED: Row = {"acknowledged_by": None, "acknowledged_at": None, "acknowledged_note": ""}


def _status_quieted(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "quiet_since": _instant(event.payload["quiet_since"])}


def _status_acknowledged(row: Row | None, event: Event) -> Row:
    acknowledged = {"acknowledged_by": event.actor, "acknowledged_at": event.at}
    return {**_known(row, event), **acknowledged, "acknowledged_note": event.payload["note"]}


def _status_unacknowledged(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), **_NOT_ACKNOWLEDGED}


def _channel_created(row: Row | None, event: Event) -> Row:
    return {
        **_owned(event),
        "kind": event.payload["kind"],
        "is_enabled": True,
        "created_at": event.at,
        "verified_at": None,
        "disabled_reason": "",
        **_channel(event.payload),
    }


def _channel_changed(row: Row | None, event: Event) -> Row:
    """It may send to another place now, which has to be verified anew: `is_verified` says whether it does not."""
    known = _known(row, event)
    verified_at = known["verified_at"] if event.payload["is_verified"] else None
    return {**known, **_channel(event.payload), "verified_at": verified_at}


def _channel(payload: Json) -> Row:
    secret_id = UUID(payload["secret_id"]) if payload["secret_id"] else None
    return {"name": payload["name"], "config": payload["config"], "secret_id": secret_id}


def _channel_verified(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "verified_at": event.at}


def _channel_switched(row: Row | None, event: Event) -> Row:
    return {**_switched(row, event), "disabled_reason": event.payload["reason"]}


def _route_created(row: Row | None, event: Event) -> Row:
    return {**_owned(event), **_route(event.payload)}


def _route_changed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), **_route(event.payload)}


def _route(payload: Json) -> Row:
    names = ("position", "match", "channel_ids", "group_by", "group_wait_s", "repeat_s", "continues")
    return {name: payload[name] for name in names}


def _silence_created(row: Row | None, event: Event) -> Row:
    return {**_owned(event), "created_by": event.actor, "created_at": event.at, **_silence(event.payload)}


def _silence_changed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), **_silence(event.payload)}


def _silence(payload: Json) -> Row:
    return {
        "match": payload["match"],
        "starts_at": datetime.fromisoformat(payload["starts_at"]),
        "ends_at": _instant(payload["ends_at"]),
        "recurrence": payload["recurrence"],
        "note": payload["note"],
    }


def _silence_ended(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "ends_at": event.at}


def _gone(row: Row | None, event: Event) -> None:
    return None


def _owned(event: Event) -> Row:
    return {"id": UUID(event.stream.partition("/")[2]), "account_id": UUID(event.payload["account_id"])}


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _known(row: Row | None, event: Event) -> Row:
    if row is None:
        raise ValueError(f"{event.type} is the first event of {event.stream}")
    return row


NOTICE_FOLDS: dict[str, Fold] = {
    "condition_created": _condition_created,
    "condition_changed": _condition_changed,
    "condition_switched": _switched,
    "condition_deleted": _gone,
    "status_moved": _status_moved,
    "status_quieted": _status_quieted,
    "status_acknowledged": _status_acknowledged,
    "status_unacknowledged": _status_unacknowledged,
    "status_ended": _gone,
    "channel_created": _channel_created,
    "channel_changed": _channel_changed,
    "channel_verified": _channel_verified,
    "channel_switched": _channel_switched,
    "channel_deleted": _gone,
    "route_created": _route_created,
    "route_changed": _route_changed,
    "route_deleted": _gone,
    "silence_created": _silence_created,
    "silence_changed": _silence_changed,
    "silence_ended": _silence_ended,
    "silence_deleted": _gone,
}
