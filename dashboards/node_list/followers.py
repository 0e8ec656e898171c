"""Open pages: what each has been told, and what it must be told to be current.

A follower keeps no queue. It compares what is now with what it said last, at the moment its browser can take more, so
one that reads slowly finds everything it has missed in one message, and costs no memory while it does not read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from dashboards.node_list.index import ACTIVE, Node, NodeIndex
from dashboards.node_list.query import ROWS, NodeQuery
from dashboards.node_list.rows import Row, difference, row_of
from dashboards.node_list.selection import Selection

QUIET_S = 5.0
"""A page hears at least so often that its stream lives."""
Message = dict[str, Any]


class Follower(Protocol):
    """One open page; `woken` is set when there may be news."""

    woken: asyncio.Event

    def nodes(self) -> Sequence[Node]:
        """Those it shows just now."""

    def message(self, now_s: float, away: set[str]) -> Message | None:
        """What it has to be told; None for nothing. Taken for told from then on."""


class ListFollower:
    """A page of the list."""

    def __init__(self, index: NodeIndex, selection: Selection, query: NodeQuery) -> None:
        self.woken = asyncio.Event()
        self.selection = selection
        self.query = query
        self._index = index
        self._told: Mapping[str, Row] = {}
        self._order: list[str] = []
        self._summary: Message = {}
        self._told_at: float | None = None

    def nodes(self) -> Sequence[Node]:
        return self.selection.page(self.query.page)

    def summary(self, away: set[str]) -> Message:
        """All that stands around the rows."""
        found = self.selection
        page = min(self.query.page, found.pages)
        return {
            "all": len(self._index),
            "active": sum(found.counts.get(standing, 0) for standing in ACTIVE),
            "counts": {str(standing): count for standing, count in found.counts.items()},
            "state": found.state,
            "page": page,
            "pages": found.pages,
            "span": _span((page - 1) * ROWS, len(found.nodes)),
            "problem": found.problem,
            "away": sorted(away),
        }

    def rows(self, now_s: float) -> list[Row]:
        return [row_of(node, now_s) for node in self.nodes()]

    def message(self, now_s: float, away: set[str]) -> Message | None:
        rows = {row["name"]: row for row in self.rows(now_s)}
        news: Message = {"now": round(now_s, 1)}
        if self._told_at is None:
            news["whole"] = True
        if (summary := self.summary(away)) != self._summary:
            self._summary = news["summary"] = summary
        if (order := list(rows)) != self._order or self._told_at is None:
            self._order = news["order"] = order
        if changed := _changed(self._told, rows):
            news["nodes"] = changed
        self._told = rows
        if len(news) == 1 and self._told_at is not None and monotonic() - self._told_at < QUIET_S:
            return None
        self._told_at = monotonic()
        return news


class NodeFollower:
    """The page of one node."""

    def __init__(self, index: NodeIndex, name: str) -> None:
        self.woken = asyncio.Event()
        self._index = index
        self._name = name
        self._told: Mapping[str, Row] | None = None
        self._told_at = 0.0

    def nodes(self) -> Sequence[Node]:
        node = self._index.by_name.get(self._name)
        return [node] if node else []

    def message(self, now_s: float, away: set[str]) -> Message | None:
        rows = {row["name"]: row for row in (row_of(node, now_s) for node in self.nodes())}
        is_first, told = self._told is None, self._told or {}
        news = {
            "now": round(now_s, 1),
            "whole": is_first,
            "nodes": _changed(told, rows),
            "removed": sorted(told.keys() - rows.keys()),
            "away": sorted(away),
        }
        self._told = rows
        if not (is_first or news["nodes"] or news["removed"]) and monotonic() - self._told_at < QUIET_S:
            return None
        self._told_at = monotonic()
        return news


def _span(first: int, found: int) -> str:
    """Which rows a page has: `101–200 of 1,240`."""
    return f"{first + 1:,}–{min(first + ROWS, found):,} of {found:,}"


def _changed(told: Mapping[str, Row], rows: Mapping[str, Row]) -> list[Row]:
    """Rows that are new, whole; and of the others what is."""
    news = (difference(told[name], row) if name in told else row for name, row in rows.items())
    return [one for one in news if one]
