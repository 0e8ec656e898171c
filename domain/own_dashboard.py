"""The ready-made dashboard of the platform's own figures."""

from dataclasses import dataclass
from typing import Final

from domain.dashboards import FORMAT, VERSION, Document, GraphPanel, Panel, TextPanel
from domain.query import Fold, Graph, Kind, Over, Query, Threshold

WIDTH: Final = 4
HEIGHT: Final = 6
ABOUT: Final = (
    "What this platform tells of itself, every few seconds, as samples like any other. While it cannot store samples "
    "it keeps an hour of its own and sends them later; **Settings → Platform** asks every part directly, whatever "
    "became of them."
)


@dataclass(frozen=True)
class Line:
    """One query of a panel: a metric of ours, without its `metrist.`."""

    metric: str
    by: tuple[str, ...] = ()
    across: Fold = "max"
    over: Over = "max"
    match: tuple[str, ...] = ()
    top: int | None = None

    def query(self, number: int) -> Query:
        return Query(
            id="ABCDEF"[number],
            metric=f"metrist.{self.metric}",
            match=self.match,
            over=self.over,
            by=self.by,
            across=self.across,
            top=self.top,
        )


def _rate(metric: str, *by: str, match: tuple[str, ...] = (), top: int | None = None) -> Line:
    return Line(metric, by, "sum", "rate", match, top)


PANELS: Final[tuple[tuple[str, str, Kind, tuple[Line, ...], tuple[float, ...]], ...]] = (
    ("accepted", "Samples accepted", "area", (_rate("samples_accepted"),), ()),
    ("refused", "Samples refused, by reason", "stack", (_rate("samples_refused", "reason"),), ()),
    ("lag", "From acknowledged to readable, 95 of 100", "lines", (Line("ingest_lag_p95_seconds", ("node",)),), (5.0,)),
    ("spool", "Spool", "area", (Line("spool_bytes", ("node",)),), ()),
    ("waits", "Oldest sample in the spool", "lines", (Line("spool_oldest_seconds", ("node",)),), (120.0,)),
    (
        "disk",
        "Free on disk, and what must stay free",
        "lines",
        (Line("disk_free_bytes", ("disk",), "min", "min"), Line("disk_needed_bytes", ("disk",))),
        (),
    ),
    ("requests", "Requests, by answer", "stack", (_rate("requests", "status"),), ()),
    ("slowest", "Slowest routes, 95 of 100", "lines", (Line("request_p95_seconds", ("route",), top=8),), ()),
    ("loop", "Event loop comes late, 95 of 100", "lines", (Line("loop_late_p95_seconds", ("node",)),), ()),
    (
        "held",
        "Pings held, live views open",
        "lines",
        (Line("pings_held", (), "sum"), Line("live_streams", (), "sum")),
        (),
    ),
    ("commands", "Commands handed out", "lines", (_rate("commands_leased"), _rate("commands_settled")), ()),
    ("behind", "Evaluation and sweep behind", "lines", (Line("behind_seconds", ("what",)),), (30.0,)),
    ("queue", "Oldest job of each queue", "lines", (Line("queue_oldest_seconds", ("queue",)),), (60.0,)),
    ("jobs", "Jobs, the most frequent", "stack", (_rate("jobs", "job", top=8),), ()),
    ("failed", "Jobs failed", "lines", (_rate("jobs", "job", match=("result=failed",)),), ()),
    ("deliveries", "Messages to channels, by result", "stack", (_rate("deliveries", "result"),), ()),
    ("parts", "Parts of the fullest partition", "lines", (Line("table_parts_of_partition", ("table",)),), ()),
    ("merges", "Merges that run", "lines", (Line("table_merges", ("table",)),), ()),
    ("rows", "Rows of each table", "lines", (Line("table_rows", ("table",)),), ()),
    ("size", "Bytes of each table", "stack", (Line("table_bytes", ("table",)),), ()),
    ("asked", "ClickHouse answers, 95 of 100", "lines", (Line("clickhouse_p95_seconds", ("node",)),), (1.0,)),
    (
        "slow",
        "Slow statements, and failed ones",
        "lines",
        (_rate("clickhouse_slow", "node"), _rate("clickhouse_failures", "error")),
        (),
    ),
    ("answers", "Graphs remembered, or worked out", "stack", (_rate("answers", "result"),), ()),
    ("memory", "Memory", "stack", (Line("process_resident_memory_bytes", ("node",)),), ()),
    ("files", "Open files", "lines", (Line("process_open_fds", ("node",)),), ()),
    ("cpu", "Processors busy", "stack", (_rate("process_cpu_seconds", "node"),), ()),
    ("audit", "Rollups that differ from raw samples", "lines", (Line("audit_differences"),), (1.0,)),
)
"""Id, title, kind, queries, thresholds; three in a row."""


def document() -> Document:
    """The dashboard as this release has it."""
    about = TextPanel(id="about", x=0, y=0, w=12, h=2, text=ABOUT)
    graphs = [_panel(number, *panel) for number, panel in enumerate(PANELS)]
    panels: tuple[Panel, ...] = (about, *graphs)
    return Document(FORMAT, VERSION, "Metrist itself", panels=panels)


def _panel(
    number: int, name: str, title: str, kind: Kind, lines: tuple[Line, ...], thresholds: tuple[float, ...]
) -> GraphPanel:
    graph = Graph(
        queries=tuple(line.query(n) for n, line in enumerate(lines)),
        kind=kind,
        thresholds=tuple(Threshold(value) for value in thresholds),
    )
    row, column = divmod(number, 12 // WIDTH)
    return GraphPanel(id=name, x=column * WIDTH, y=2 + row * HEIGHT, w=WIDTH, h=HEIGHT, title=title, graph=graph)
