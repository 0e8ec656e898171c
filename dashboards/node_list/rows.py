"""A node as a row of the list: what the page is made with and what the browser is told."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from dashboards.format import duration
from dashboards.node_list.index import ACTIVE, Node
from dashboards.state_words import WORDS
from domain.conditions import worst_state
from domain.nodes import SKEW_WARNED_S
from schema.heartbeats import Contact

Row = dict[str, Any]
BLANK: Final[Row] = {"name": "", "state": "", "labels": {}, "contact_s": None, "marks": (), "figures": {}}
"""What the browser makes new rows from."""
NAMED: Final = 5
"""Conditions that a mark's title names."""


class Mark(NamedTuple):
    """Something about a node that needs a look; `until` (Unix seconds) completes the words with an instant."""

    kind: str
    words: str
    title: str
    until: int | None = None

    @property
    def clock(self) -> str:
        """The instant for browsers without scripts, which cannot know their reader's zone."""
        return "" if self.until is None else f"{datetime.fromtimestamp(self.until, UTC):%H:%M} UTC"


def row_of(node: Node, now_s: float) -> Row:
    """The node's row; the very same object as before while nothing in it changed."""
    row = {
        "name": node.name,
        "state": node.listed.state.value,
        "labels": node.listed.labels,
        "contact_s": round(node.contact.last / 1000) if node.contact and not node.contact.presumed else None,
        "marks": marks(node, now_s),
        "figures": node.figures,
    }
    if row != node.row:
        node.row = row
    return node.row


def difference(before: Row, after: Row) -> Row:
    """What of a row a browser has to learn; nothing when it knows all. Figures are told one by one."""
    if before is after:
        return {}
    changed = {key: value for key, value in after.items() if before[key] != value}
    if "figures" in changed:
        changed["figures"] = _changed_figures(before["figures"], after["figures"])
    return {"name": after["name"], **changed} if changed else {}


def marks(node: Node, now_s: float) -> list[Mark]:
    """What is odd about a node, in a word; its own page says more."""
    unwell, contact = _unwell(node), node.contact
    if contact is None:
        return [unwell] if unwell else []
    now_ms = int(now_s * 1000)
    found = (unwell, _away(node, contact, now_ms), _clash(contact, now_ms), _skew(contact))
    return [mark for mark in found if mark]


def _unwell(node: Node) -> Mark | None:
    """The worst that conditions say of it, and of how many groups; the title names them."""
    if not node.unwell:
        return None
    worst = worst_state(one.state for one in node.unwell)
    count = sum(one.state == worst for one in node.unwell)
    names = [f"{one.condition}: {WORDS[one.state]}" for one in node.unwell[:NAMED]]
    more = [f"{len(node.unwell) - NAMED} more"] * (len(node.unwell) > NAMED)
    return Mark(worst.value, f"{count} {WORDS[worst]}", "; ".join([*names, *more]))


def _away(node: Node, contact: Contact, now_ms: int) -> Mark | None:
    back_by_ms = contact.back_by_ms(now_ms)
    if back_by_ms is None or node.standing not in ACTIVE:
        return None
    return Mark("away", "restarting, back by", "Its agent said goodbye and means to be back", back_by_ms // 1000)


def _clash(contact: Contact, now_ms: int) -> Mark | None:
    if not contact.clashes(now_ms):
        return None
    return Mark("clash", "two machines", "Two machines report under this name; give one of them another")


def _skew(contact: Contact) -> Mark | None:
    skew_s = contact.skew_s()
    if skew_s is None or abs(skew_s) <= SKEW_WARNED_S:
        return None
    way = "ahead of" if skew_s > 0 else "behind"
    words = f"clock {'+' if skew_s > 0 else '−'}{duration(abs(skew_s)).split()[0]}"
    return Mark("skew", words, f"This machine's clock is {duration(abs(skew_s))} {way} the server's")


def _changed_figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    gone = dict.fromkeys(before.keys() - after.keys())
    return gone | {key: value for key, value in after.items() if before.get(key) != value}
