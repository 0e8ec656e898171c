"""What someone asked the list of nodes for; all of it is in the address, so that it can be shared."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from dashboards.node_list.figures import FIGURES
from dashboards.node_list.index import Standing
from domain.matchers import FILTER_MAX_CHARS

ROWS: Final = 100
"""Rows of a page."""
SORTS: Final = ("name", "state", "contact", *FIGURES)
DOWN_FIRST: Final = frozenset(FIGURES)
"""Columns whose largest values are what one looks for."""
_STATES: Final = frozenset(Standing)
_PAGE = re.compile("[1-9][0-9]{0,6}")


@dataclass(frozen=True)
class NodeQuery:
    """text  words and label matchers; state  a standing, or "" for the active nodes; page  from 1."""

    text: str = ""
    state: str = ""
    sort: str = "name"
    is_descending: bool = False
    page: int = 1

    @property
    def order(self) -> str:
        """The column, with a minus when it is descending; empty for the usual one."""
        order = ("-" if self.is_descending else "") + self.sort
        return "" if order == "name" else order

    def address(self, **changes: Any) -> str:
        """The address of this list, or of one that differs in these fields; a changed list begins at its first page."""
        asked = replace(self, **{"page": 1} | changes)
        page = "" if asked.page == 1 else asked.page
        parts = {"q": asked.text, "state": asked.state, "sort": asked.order, "page": page}
        chosen = {key: value for key, value in parts.items() if value}
        return f"/nodes?{urlencode(chosen)}" if chosen else "/nodes"

    def first_page(self) -> "NodeQuery":
        """The same list from its beginning: everyone who asks for it finds the same nodes."""
        return replace(self, page=1)

    def sorted_by(self, sort: str) -> str:
        """The address for a click on a column: that column, or its other direction."""
        is_descending = not self.is_descending if sort == self.sort else sort in DOWN_FIRST
        return self.address(sort=sort, is_descending=is_descending)


def parse_query(q: str = "", state: str = "", sort: str = "", page: str = "") -> NodeQuery:
    """Read an address; what makes no sense in it counts as not said."""
    column = sort.removeprefix("-")
    is_known = column in SORTS
    return NodeQuery(
        text=" ".join(q[: FILTER_MAX_CHARS + 1].split()),
        state=state if state in _STATES else "",
        sort=column if is_known else "name",
        is_descending=is_known and sort.startswith("-"),
        page=int(page) if _PAGE.fullmatch(page) else 1,
    )
