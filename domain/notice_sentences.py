"""What happened to conditions, their statuses and what tells of them, as sentences: part of domain.audit.SENTENCES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.audit import _Told as Told

MOVED: Mapping[str, str] = {
    "ok": "is ok again",
    "pending": "may fire soon",
    "firing": "fires",
    "no_data": "has no data",
    "error": "could not be judged",
}
"""State → what became of a condition that has come to it."""


def group(told: Told) -> str:
    """Whose status it is: ` (node web-1, device sda)`, nothing for a condition's only one."""
    labels = ", ".join(f"{name} {value}" for name, value in sorted((told["labels"] or {}).items()))
    return f" ({labels})" if labels else ""


def _moved(told: Told) -> str:
    message = f": {told['message']}" if told["message"] else ""
    return f"{told['name']} {MOVED[told['to']]}{group(told)}{message}"


def _quieted(told: Told) -> str:
    if told["quiet_since"]:
        return f"{told['name']} would be ok by now, and goes on firing for a while{group(told)}"
    return f"{told['name']} is over its threshold again, and never stopped firing{group(told)}"


def _acknowledged(told: Told) -> str:
    return f"{told.by} acknowledged {told['name']}{group(told)}{told.noted}"


def _status_ended(told: Told) -> str:
    return f"{told['name']}{group(told)} is judged no longer: {told['cause']}"


def _condition_switched(told: Told) -> str:
    return f"{told.by} {'resumed' if told['is_enabled'] else 'paused'} the condition {told['name']}"


def _channel_switched(told: Told) -> str:
    reason = f": {told['reason']}" if told["reason"] else ""
    return f"{told.by} {'turned on' if told['is_enabled'] else 'turned off'} the channel {told['name']}{reason}"


def _silenced(verb: str) -> Callable[[Told], str]:
    def said(told: Told) -> str:
        which = f"“{told['note']}”" if told["note"] else "without a note"
        return f"{told.by} {verb} the silence {which}"

    return said


def _did(what: str) -> Callable[[Told], str]:
    return lambda told: f"{told.by} {what} {told['name']}"


NOTICE_SENTENCES: Mapping[str, Callable[[Told], str]] = {
    "condition_created": _did("made the condition"),
    "condition_changed": _did("changed the condition"),
    "condition_switched": _condition_switched,
    "condition_deleted": _did("deleted the condition"),
    "status_moved": _moved,
    "status_quieted": _quieted,
    "status_acknowledged": _acknowledged,
    "status_unacknowledged": lambda told: f"{told.by} took back the acknowledgement of {told['name']}{group(told)}",
    "status_ended": _status_ended,
    "channel_created": _did("made the channel"),
    "channel_changed": _did("changed the channel"),
    "channel_verified": lambda told: f"The address of the channel {told['name']} was confirmed",
    "channel_switched": _channel_switched,
    "channel_deleted": _did("deleted the channel"),
    "route_created": lambda told: f"{told.by} made a route for notices, number {told['position']}",
    "route_changed": lambda told: f"{told.by} changed route {told['position']} for notices",
    "route_deleted": lambda told: f"{told.by} deleted route {told['position']} for notices",
    "silence_created": _silenced("made"),
    "silence_changed": _silenced("changed"),
    "silence_ended": _silenced("ended"),
    "silence_deleted": _silenced("deleted"),
}
