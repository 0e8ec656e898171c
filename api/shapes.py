"""The shapes of answers that are put together by hand, for the OpenAPI document."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec

from domain.monitors import Spec, Target

Numbers = list[float | None]
Pair = Annotated[list[float], msgspec.Meta(min_length=2, max_length=2)]
"""A list, for tests that are driven by the document misread a tuple's `prefixItems`."""


class SeriesLine(TypedDict):
    """One series; the main value of each bucket stands under the name of `agg`."""

    metric: str
    node: str
    labels: dict[str, str]
    ts: NotRequired[list[int]]
    avg: NotRequired[Numbers]
    sum: NotRequired[Numbers]
    last: NotRequired[Numbers]
    count: NotRequired[Numbers]
    min: NotRequired[Numbers]
    max: NotRequired[Numbers]


class SeriesAnswer(TypedDict):
    """Buckets of series; `slots` is there for form=grid."""

    resolution: Literal["raw", "1m", "1h"]
    step_s: int
    from_s: int
    to_s: int
    slots: NotRequired[int]
    rows_read: int
    engine_ms: float
    took_ms: float
    agg: str
    series: list[SeriesLine]


class Listed(TypedDict):
    """A series and its latest value; `last_ts` in Unix seconds."""

    metric: str
    node: str
    labels: dict[str, str]
    last_ts: float
    last: float | None


class MetricsAnswer(TypedDict):
    """The series that there are."""

    series: list[Listed]


class QueryCount(TypedDict):
    """How many lines of a query are shown, and how many it has."""

    shown: int
    count: int


class QueryLine(TypedDict):
    """A line of a graph on the answer's grid; null is a gap."""

    query: str
    metric: str
    labels: dict[str, str]
    name: str
    shift: str
    values: Numbers
    min: NotRequired[Numbers]
    max: NotRequired[Numbers]


class QueryAnswer(TypedDict):
    """A graph's lines: value k is of [start_s + k·step_s, start_s + (k+1)·step_s)."""

    resolution: Literal["raw", "1m", "1h"]
    from_s: int
    to_s: int
    start_s: int
    step_s: int
    count: int
    unit: str
    queries: dict[str, QueryCount]
    rows_read: int
    engine_ms: float
    took_ms: float
    lines: list[QueryLine]


class SqlAnswer(TypedDict):
    """Statements for ClickHouse."""

    sql: str


class FoundMetric(TypedDict):
    """A metric; `last_s` is when it was heard last, Unix seconds."""

    name: str
    series: int
    nodes: int
    last_s: float
    unit: str


class FoundMetrics(TypedDict):
    """Metrics that fit; `more` says that there are others."""

    metrics: list[FoundMetric]
    more: bool


class FoundLabel(TypedDict):
    """A label and how many values it takes."""

    name: str
    values: int


class FoundLabels(TypedDict):
    """Labels of a metric."""

    labels: list[FoundLabel]
    more: bool


class FoundValue(TypedDict):
    """A label's value and how many series have it."""

    value: str
    series: int


class FoundValues(TypedDict):
    """Values of a label."""

    values: list[FoundValue]
    more: bool


class VariableValues(TypedDict):
    """What a variable can be; `is_all` is false where there are more."""

    values: list[str]
    is_all: bool


class Saved(TypedDict):
    """The revision that was saved."""

    version: int
    title: str


class StandingPeriod(TypedDict):
    """How a node stood in [from_s, to_s)."""

    standing: str
    from_s: float
    to_s: float


class NodeEvent(TypedDict):
    """Something that happened to a node; `at` in Unix seconds."""

    version: int
    type: str
    at: float
    actor: str
    payload: dict[str, Any]


class NodeEvents(TypedDict):
    """A node's past; `is_cut` says that there are more, older events."""

    node: str
    from_s: float
    to_s: float
    online_share: float | None
    periods: list[StandingPeriod]
    events: list[NodeEvent]
    is_cut: bool


class OverlayEvent(TypedDict):
    """What changed how a node stood, in words; `at` in Unix seconds."""

    node: str
    at: float
    title: str
    detail: str
    standing: str


class OverlayCondition(TypedDict):
    """A period in which a group of a condition was not ok; `node` is empty for a group of none."""

    condition: str
    href: str
    group: str
    node: str
    metrics: list[str]
    severity: str
    state: str
    from_s: float
    to_s: float


class OverlayRefusal(TypedDict):
    """A batch of which nothing was taken; `node` is empty where it was of none or of many."""

    at: float
    node: str
    what: str
    detail: str


class OverlayLate(TypedDict):
    """Samples of [from_s, to_s] that came at at_s."""

    node: str
    from_s: float
    to_s: float
    at_s: float


class OverlayAnswer(TypedDict):
    """What lies over graphs; `left_out` nodes were too many."""

    from_s: float
    to_s: float
    nodes: dict[str, list[StandingPeriod]]
    events: list[OverlayEvent]
    conditions: list[OverlayCondition]
    is_cut: bool
    outages: list[Pair]
    refused: list[OverlayRefusal]
    late: list[OverlayLate]
    left_out: int


class KeyAnswer(TypedDict):
    """The public key that bundles of monitors are signed with, in base64."""

    key_id: str
    algorithm: str
    public_key: str


class RunsAnswer(TypedDict):
    """How many reports were taken."""

    accepted: int


class MonitorAnswer(TypedDict):
    """A monitor; `good` and `pushed` are numbers of versions, 0 for none."""

    name: str
    version: int
    spec: Spec
    target: Target
    good: int
    pushed: int
    stage: str
    reason: str
    paused: bool


class MonitorsAnswer(TypedDict):
    """All monitors of an account."""

    monitors: list[MonitorAnswer]


class Bundle(TypedDict):
    """All that a node is to run, signed; domain/bundles.py says how to check it."""

    account: str
    node: str
    hash: str
    issued_at: int
    monitors: list[dict[str, Any]]
    key_id: str
    signature: str


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Ready(TypedDict):
    """How the platform is; each part of it is told beside `status`, under its own name."""

    status: Literal["ready", "degraded", "not ready"]
