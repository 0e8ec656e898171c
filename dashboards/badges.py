"""Badges: what conditions say of a node or of a graph where that is not ok, in words that stand beside their colour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboards.conditions.common import group_name, place
from dashboards.state_words import WORDS
from domain.evaluation import Group
from domain.query import NODE
from schema.unwell import NotOk


@dataclass(frozen=True, slots=True)
class Badge:
    """One status; `group` tells it from the condition's others."""

    condition: str
    href: str
    group: str
    state: str
    word: str
    severity: str
    since: datetime


def badge_of(one: NotOk, *, but: str = "") -> Badge:
    """As pages show it; `but` is the node that needs no name where it is shown."""
    labels = {label: text for label, text in one.labels.items() if (label, text) != (NODE, but)}
    return Badge(
        one.condition,
        place(one.condition_id),
        group_name(Group("", labels)),
        one.state.value,
        WORDS[one.state],
        one.severity.value,
        one.since,
    )


def told(found: Iterable[NotOk], metrics: frozenset[str], most: int) -> Sequence[dict[str, Any]]:
    """What a dashboard's script is told of the statuses of these metrics, `most` of them at most, the newest first."""
    theirs = [one for one in found if one.metric in metrics][:most]
    return [
        {
            "condition": one.condition,
            "href": place(one.condition_id),
            "metric": one.metric,
            "labels": dict(one.labels),
            "state": one.state.value,
            "word": WORDS[one.state],
        }
        for one in theirs
    ]
