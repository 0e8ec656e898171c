"""What happened to monitors, as sentences: part of domain.audit.SENTENCES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.audit import _Told as Told

TO: Mapping[str, str] = {
    "canary": "its first node",
    "share": "a share of its nodes",
    "all": "all its nodes",
}


def _noted(told: Told) -> str:
    return f", “{told['note']}”" if told["note"] else ""


def _staged(told: Told) -> str:
    names = f", {', '.join(told['canaries'])}" if told["stage"] == "canary" else ""
    return f"Version {told['number']} of the monitor {told['name']} goes to {TO[told['stage']]}{names}"


def _halted(told: Told) -> str:
    back = f"back to version {told['back_to']}" if told["back_to"] else "taken back from its nodes"
    return f"Version {told['number']} of the monitor {told['name']} was halted, and {back}: {told['reason']}"


MONITOR_SENTENCES: Mapping[str, Callable[[Told], str]] = {
    "monitor_created": lambda told: f"{told.by} wrote the monitor {told['name']}{_noted(told)}",
    "monitor_saved": lambda told: (
        f"{told.by} wrote version {told['number']} of the monitor {told['name']}{_noted(told)}"
    ),
    "monitor_retargeted": lambda told: f"{told.by} chose other nodes for the monitor {told['name']}",
    "monitor_pushed": lambda told: f"{told.by} pushed version {told['number']} of the monitor {told['name']}",
    "monitor_staged": _staged,
    "monitor_rolled_out": lambda told: f"All nodes run version {told['number']} of the monitor {told['name']}",
    "monitor_halted": _halted,
    "monitor_paused": lambda told: f"{told.by} paused the monitor {told['name']}",
    "monitor_resumed": lambda told: f"{told.by} resumed the monitor {told['name']}",
    "monitor_removed": lambda told: f"{told.by} removed the monitor {told['name']}",
}
