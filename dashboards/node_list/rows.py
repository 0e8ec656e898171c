"""A node as a row of the list: what the page is made with and what the browser is told."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from dashboards.format import duration
from dashboards.node_list.index import ACTIVE, Node

CLASH_SHOWN_S: Final = 600
"""Two machines that stopped taking turns so long ago have been told apart."""
SKEW_SHOWN_S: Final = 60
_GOODBYE_S: Final = 2.0
"""A goodbye is a contact too, and recorded a moment before or after it."""

Row = dict[str, Any]
BLANK: Final[Row] = {"name": "", "state": "", "labels": {}, "contact_s": None, "marks": (), "figures": {}}
"""What the browser makes new rows from."""


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
        "contact_s": round(node.contact.last / 1000) if node.contact else None,
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
    """What is odd about a node, the most telling first."""
    return [mark for mark in (_away(node, now_s), _clash(node, now_s), _skew(node)) if mark]


def _away(node: Node, now_s: float) -> Mark | None:
    since, until = node.listed.away_since, node.listed.away_until
    if since is None or until is None or until.timestamp() <= now_s or node.standing not in ACTIVE:
        return None
    if node.contact and node.contact.last / 1000 > since.timestamp() + _GOODBYE_S:
        return None
    return Mark("away", "restarting, back by", "Its agent said goodbye and means to be back", int(until.timestamp()))


def _clash(node: Node, now_s: float) -> Mark | None:
    if not node.contact or now_s - node.contact.clash / 1000 > CLASH_SHOWN_S:
        return None
    return Mark("clash", "two machines", "Two machines report under this name; give one of them another")


def _skew(node: Node) -> Mark | None:
    skew_s = (node.contact.skew or 0) / 1000 if node.contact else 0
    if abs(skew_s) <= SKEW_SHOWN_S:
        return None
    way = "ahead of" if skew_s > 0 else "behind"
    words = f"clock {'+' if skew_s > 0 else '−'}{duration(abs(skew_s)).split()[0]}"
    return Mark("skew", words, f"This machine's clock is {duration(abs(skew_s))} {way} the server's")


def _changed_figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    gone = dict.fromkeys(before.keys() - after.keys())
    return gone | {key: value for key, value in after.items() if before.get(key) != value}
