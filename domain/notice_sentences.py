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
    note = f", “{told['note']}”" if told["note"] else ""
    return f"{told.by} acknowledged {told['name']}{group(told)}{note}"


def _status_ended(told: Told) -> str:
    return f"{told['name']}{group(told)} is judged no longer: {told['cause']}"


def _condition_switched(told: Told) -> str:
    return f"{told.by} {'resumed' if told['is_enabled'] else 'paused'} the condition {told['name']}"


def _channel_switched(told: Told) -> str:
    reason = f": {told['reason']}" if told["reason"] else ""
    return f"{told.by} {'turned on' if told['is_enabled'] else 'turned off'} the channel {told['name']}{reason}"


def _silenced(told: Told) -> str:
    return f"{told.by} made the {_silence(told)}"


def _silence(told: Told) -> str:
    return f"silence “{told['note']}”" if told["note"] else "silence without a note"


NOTICE_SENTENCES: Mapping[str, Callable[[Told], str]] = {
    "condition_created": lambda told: f"{told.by} made the condition {told['name']}",
    "condition_changed": lambda told: f"{told.by} changed the condition {told['name']}",
    "condition_switched": _condition_switched,
    "condition_deleted": lambda told: f"{told.by} deleted the condition {told['name']}",
    "status_moved": _moved,
    "status_quieted": _quieted,
    "status_acknowledged": _acknowledged,
    "status_unacknowledged": lambda told: f"{told.by} took back the acknowledgement of {told['name']}{group(told)}",
    "status_ended": _status_ended,
    "channel_created": lambda told: f"{told.by} made the channel {told['name']}",
    "channel_changed": lambda told: f"{told.by} changed the channel {told['name']}",
    "channel_verified": lambda told: f"The address of the channel {told['name']} was confirmed",
    "channel_switched": _channel_switched,
    "channel_deleted": lambda told: f"{told.by} deleted the channel {told['name']}",
    "route_created": lambda told: f"{told.by} made a route for notices, number {told['position']}",
    "route_changed": lambda told: f"{told.by} changed route {told['position']} for notices",
    "route_deleted": lambda told: f"{told.by} deleted route {told['position']} for notices",
    "silence_created": _silenced,
    "silence_changed": lambda told: f"{told.by} changed the {_silence(told)}",
    "silence_ended": lambda told: f"{told.by} ended the {_silence(told)}",
    "silence_deleted": lambda told: f"{told.by} deleted the {_silence(told)}",
}
