"""The graphs of a node's page as a dashboard: in the same order, three beside each other."""

from collections.abc import Sequence

import msgspec

from dashboards.charts import Group
from dashboards.charts import Panel as NodePanel
from domain.dashboards import COLUMNS, PANELS_MAX, TITLE_MAX_CHARS, Document, GraphPanel, Panel, Variable, check, new
from domain.query import NODE, Graph, Query

WIDTH = COLUMNS // 3
HEIGHT = 6


def dashboard_of(node: str, groups: Sequence[Group]) -> Document:
    """A dashboard of a node's graphs, as many as fit; its variable lets people look at any other node the same way."""
    title = node if node.isprintable() else "A node"
    graphs = [(group, panel) for group in groups for panel in group.panels][:PANELS_MAX]
    panels = tuple(_graph(number, group, panel) for number, (group, panel) in enumerate(graphs))
    variable = Variable(name=NODE, label=NODE, value=node)
    return check(msgspec.structs.replace(new(title[:TITLE_MAX_CHARS]), variables=(variable,), panels=panels))


def _graph(number: int, group: Group, panel: NodePanel) -> Panel:
    row, column = divmod(number, COLUMNS // WIDTH)
    title = f"{group.title} · {panel.title}" if panel.title != group.title else panel.title
    query = Query(id="A", metric=panel.metric, match=(f"{NODE}=${NODE}",))
    place = {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT}
    return GraphPanel(id=f"g{number}", title=title[:TITLE_MAX_CHARS], graph=Graph(queries=(query,)), **place)
