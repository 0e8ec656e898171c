"""Events of the control plane, and how each folds into the one row of its stream.

A stream is the history of one thing and folds to one row of one state table:
`user/<uuid>`, `identity/<provider>/<SHA-256 of the provider's id>`, `account/<uuid>`, `membership/<account>/<user>`,
`invitation/<public id>`, `key/<public id>`, `node/<uuid>`, `recording/<uuid>`,
`dashboard/<uuid>`, `share/<public id>`.
`monitor/<uuid>`: domain/monitor_folds.py; those of conditions and notices: domain/notice_folds.py.
Row values are what the table's columns hold in Python (UUID, aware UTC datetime, dict); payloads are plain JSON.
Shipped folds are frozen like migrations: the log of years ago goes through them again in `metrist rebuild`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.ids import AccountId
from domain.monitor_folds import MONITOR_FOLDS
from domain.nodes import NodeState
from domain.notice_folds import NOTICE_FOLDS

Json = Mapping[str, Any]
Row = Mapping[str, Any]
SYSTEM = "system"
"""The actor of what the platform does by itself; others are `user/<uuid>`, `key/<public id>`, `node/<uuid>`."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact about to be recorded; the log adds stream, version and time."""

    type: str
    payload: Json = field(default_factory=dict)
    actor: str = SYSTEM


@dataclass(frozen=True, slots=True)
class Event:
    """A recorded fact.

    version     1, 2, 3 … within the stream, no gaps
    at          our clock, aware UTC
    seq         place in the whole log, ascending, with gaps; 0 before it is written
    account_id  whose it is; None for what belongs to no account
    """

    stream: str
    version: int
    type: str
    payload: Json
    actor: str
    at: datetime
    seq: int = 0
    account_id: AccountId | None = None


Fold = Callable[[Row | None, Event], Row | None]


def fold(row: Row | None, event: Event) -> Row | None:
    """The row after one more event; None when the event ends it. Raises KeyError for a type not in FOLDS."""
    folded = FOLDS[event.type](row, event)
    return None if folded is None else {**folded, "version": event.version}


def fold_all(row: Row | None, events: Iterable[Event]) -> Row | None:
    """The row after all these events, in order."""
    for event in events:
        row = fold(row, event)
    return row


def kind_of(stream: str) -> str:
    """What a stream is of: `membership/a/b` → membership."""
    return stream.partition("/")[0]


def key_of(stream: str) -> list[str]:
    """The parts of a stream's name after its kind: `membership/a/b` → [a, b]."""
    return stream.split("/")[1:]


def _user_created(row: Row | None, event: Event) -> Row:
    payload = event.payload
    who = {"email": payload["email"], "name": payload.get("name")}
    return {"id": UUID(key_of(event.stream)[0]), **who, "created_at": event.at}


def _user_changed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "email": event.payload["email"], "name": event.payload["name"]}


def _identity_linked(row: Row | None, event: Event) -> Row:
    provider, subject_sha256 = key_of(event.stream)
    return {
        "provider": provider,
        "subject_sha256": subject_sha256,
        "user_id": UUID(event.payload["user_id"]),
        "login": event.payload["login"],
        "linked_at": event.at,
    }


def _identity_renamed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "login": event.payload["login"]}


def _account_created(row: Row | None, event: Event) -> Row:
    payload = event.payload
    own = {"name": payload["name"], "deregister_after_s": payload.get("deregister_after_s")}
    return {"id": UUID(key_of(event.stream)[0]), **own, "created_at": event.at}


def _account_configured(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "deregister_after_s": event.payload["deregister_after_s"]}


def _account_renamed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "name": event.payload["name"]}


def _membership_granted(row: Row | None, event: Event) -> Row:
    account, user = key_of(event.stream)
    granted_at = row["granted_at"] if row else event.at
    return {"account_id": UUID(account), "user_id": UUID(user), "role": event.payload["role"], "granted_at": granted_at}


def _invitation_created(row: Row | None, event: Event) -> Row:
    payload = event.payload
    return {
        "id": key_of(event.stream)[0],
        "account_id": UUID(payload["account_id"]),
        "role": payload["role"],
        "note": payload["note"],
        "secret_hash": bytes.fromhex(payload["secret_sha256"]),
        "invited_by": UUID(payload["invited_by"]),
        "created_at": event.at,
        "expires_at": datetime.fromisoformat(payload["expires_at"]),
    }


def _key_created(row: Row | None, event: Event) -> Row:
    return {
        "id": key_of(event.stream)[0],
        "account_id": UUID(event.payload["account_id"]),
        "name": event.payload["name"],
        "scopes": sorted(event.payload["scopes"]),
        "secret_hash": bytes.fromhex(event.payload["secret_sha256"]),
        "created_at": event.at,
        "revoked_at": None,
    }


def _key_revoked(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "revoked_at": event.at}


def _node_registered(row: Row | None, event: Event) -> Row:
    payload = event.payload
    return {
        "id": UUID(key_of(event.stream)[0]),
        "account_id": UUID(payload["account_id"]),
        "name": payload["name"],
        "state": NodeState.ONLINE.value,
        "state_since": event.at,
        "registered_at": event.at,
        "instance_id": payload["instance_id"],
        "instance_since": event.at if payload["instance_id"] else None,
        "labels": payload["labels"],
        "agent": payload["agent"],
        "is_ephemeral": payload.get("is_ephemeral", False),
        "away_since": None,
        "away_until": None,
        "interval_s": payload.get("interval_s"),
        "clash_since": None,
    }


def _node_moved(state: NodeState) -> Fold:
    def moved(row: Row | None, event: Event) -> Row:
        back = {"away_since": None, "away_until": None} if state == NodeState.ONLINE else {}
        return {**_known(row, event), "state": state.value, "state_since": event.at, **back}

    return moved


def _node_instance_changed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "instance_id": event.payload["instance_id"], "instance_since": event.at}


def _node_described(row: Row | None, event: Event) -> Row:
    known, payload = _known(row, event), event.payload
    told = {"labels": payload["labels"], "agent": payload["agent"]}
    return {**known, **told, "interval_s": payload.get("interval_s", known.get("interval_s"))}


def _node_away(row: Row | None, event: Event) -> Row:
    return {
        **_known(row, event),
        "away_since": event.at,
        "away_until": datetime.fromisoformat(event.payload["until"]),
    }


def _node_back(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "away_since": None, "away_until": None}


def _node_clash_began(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "clash_since": event.at}


def _node_clash_ended(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "clash_since": None}


def _node_ephemeral(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "is_ephemeral": event.payload["is_ephemeral"]}


def _recording_started(row: Row | None, event: Event) -> Row:
    payload = event.payload
    return {
        "id": UUID(key_of(event.stream)[0]),
        "account_id": UUID(payload["account_id"]),
        "node": payload["node"],
        "metrics": payload["metrics"],
        "every_ms": payload["every_ms"],
        "note": payload["note"],
        "started_by": event.actor,
        "started_at": event.at,
        "ends_at": datetime.fromisoformat(payload["ends_at"]),
    }


def _recording_stopped(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "ends_at": event.at}


def _recording_renamed(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), "note": event.payload["note"]}


def _dashboard_created(row: Row | None, event: Event) -> Row:
    return {
        "id": UUID(key_of(event.stream)[0]),
        "account_id": UUID(event.payload["account_id"]),
        "created_by": event.actor,
        "created_at": event.at,
        **_document(event),
    }


def _dashboard_saved(row: Row | None, event: Event) -> Row:
    return {**_known(row, event), **_document(event)}


def _document(event: Event) -> Row:
    document = event.payload["document"]
    told = {"title": document["title"], "panels": len(document["panels"]), "document": document}
    return {**told, "saved_by": event.actor, "saved_at": event.at}


def _share_created(row: Row | None, event: Event) -> Row:
    payload = event.payload
    return {
        "id": key_of(event.stream)[0],
        "account_id": UUID(payload["account_id"]),
        "dashboard_id": UUID(payload["dashboard_id"]),
        "secret_hash": bytes.fromhex(payload["secret_sha256"]),
        "note": payload["note"],
        "fixed": payload["fixed"],
        "created_by": event.actor,
        "created_at": event.at,
        "expires_at": datetime.fromisoformat(payload["expires_at"]) if payload["expires_at"] else None,
    }


def _ended(row: Row | None, event: Event) -> None:
    return None


def _known(row: Row | None, event: Event) -> Row:
    if row is None:
        raise ValueError(f"{event.type} is the first event of {event.stream}")
    return row


FOLDS: dict[str, Fold] = {
    **MONITOR_FOLDS,
    **NOTICE_FOLDS,
    "user_created": _user_created,
    "user_changed": _user_changed,
    "identity_linked": _identity_linked,
    "identity_renamed": _identity_renamed,
    "identity_unlinked": _ended,
    "account_created": _account_created,
    "account_renamed": _account_renamed,
    "account_configured": _account_configured,
    "account_deleted": _ended,
    "membership_granted": _membership_granted,
    "membership_revoked": _ended,
    "invitation_created": _invitation_created,
    "invitation_accepted": _ended,
    "invitation_revoked": _ended,
    "key_created": _key_created,
    "key_revoked": _key_revoked,
    "node_registered": _node_registered,
    "node_online": _node_moved(NodeState.ONLINE),
    "node_late": _node_moved(NodeState.LATE),
    "node_offline": _node_moved(NodeState.OFFLINE),
    "node_deregistered": _node_moved(NodeState.DEREGISTERED),
    "node_instance_changed": _node_instance_changed,
    "node_described": _node_described,
    "node_away": _node_away,
    "node_back": _node_back,
    "node_clash_began": _node_clash_began,
    "node_clash_ended": _node_clash_ended,
    "node_ephemeral": _node_ephemeral,
    "node_removed": _ended,
    "recording_started": _recording_started,
    "recording_stopped": _recording_stopped,
    "recording_renamed": _recording_renamed,
    "recording_deleted": _ended,
    "dashboard_created": _dashboard_created,
    "dashboard_saved": _dashboard_saved,
    "dashboard_deleted": _ended,
    "share_created": _share_created,
    "share_revoked": _ended,
}
