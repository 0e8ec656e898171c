"""A graph as people ask for it: which series, put together how over time and over series, and drawn as what.

As JSON (`graph_of`, `as_json`), which is also how dashboards keep it:

    {"queries": [{"id": "A", "metric": "net.received_bytes", "match": ["node=~web-.*", "device!=lo"], "over": "rate",
                  "by": ["node"], "across": "sum", "top": 10, "hidden": false}],
     "formulas": [{"id": "F1", "expr": "A / B * 100"}], "shift": ["1d"], "kind": "lines", "log": false,
     "unit": null, "thresholds": [{"value": 80, "label": "high"}]}

As an address that people can read and write (`from_url`, `to_url`); what is left out is as usual:

    A=net.received_bytes  A.match=node=~web-.*  A.match=device!=lo  A.over=rate  A.by=node  A.across=sum  A.top=10
    A.hidden=1  F1=A / B * 100  F1.hidden=1  shift=1d  kind=stack  log=1  unit=bytes  threshold=80:high

`by` says which lines there are: without it each series is its own, empty it is one line of all, else it names labels
(`node` is one of them) and each combination of their values is a line, made of its series by `across`. `top` keeps the
lines with the largest values, where a line's value is what the query gives for the whole window as a single bucket.
Percentiles (p50, p90, p95, p99) are interpolated between the two nearest values.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from domain import formula
from domain.errors import InvalidQuery
from domain.matchers import Limits, Matcher, parse_filter
from domain.series_key import InvalidKey, check_metric, shorten

Percentile = Literal["p50", "p90", "p95", "p99"]
Over = Literal["avg", "min", "max", "sum", "last", "count", "rate", Percentile]
Fold = Literal["avg", "min", "max", "sum", "count", Percentile]
Kind = Literal["lines", "area", "stack", "heatmap", "table", "stat"]

PERCENTILES: Final[Mapping[Percentile, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""Over time of single samples, so that no rollup has them; across series of the values that these have in a bucket."""

NODE: Final = "node"
"""The label that every series has: which node it is of."""

QUERIES_MAX: Final = 10
FORMULAS_MAX: Final = 10
MATCHERS_MAX: Final = 20
LABELS_MAX: Final = 8
SHIFTS_MAX: Final = 4
THRESHOLDS_MAX: Final = 10
TEXT_MAX_CHARS: Final = 200
MATCHER: Final = Limits(12_000, 4_000, 1 << 20)
"""Of one matcher: its pattern may be many values of a variable, each as it stands."""
LINES_MAX: Final = 1_000
"""Lines of one query in one answer; where there are more, the largest are given."""

LINES_OF_KIND: Final[Mapping[Kind, int]] = {
    "lines": 100, "area": 100, "stack": 100, "heatmap": 500, "table": LINES_MAX, "stat": 100,
}  # fmt: skip
"""As many as a person can still make something of."""

_QUERY_ID = re.compile(r"[A-Z]")
_FORMULA_ID = re.compile(r"F[1-9][0-9]?")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_MATCHER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|.*?)\s*', re.DOTALL)
_SHIFT = re.compile(r"([1-9][0-9]{0,3})([hdw])")
_SHIFT_S = {"h": 3_600, "d": 86_400, "w": 604_800}
_UNIT = re.compile(r"[a-z_]{1,32}")


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Series of one metric, and what becomes of them."""

    id: str
    metric: str
    match: tuple[str, ...] = ()
    over: Over = "avg"
    by: tuple[str, ...] | None = None
    across: Fold = "avg"
    top: int | None = None
    hidden: bool = False

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """The conditions on labels, `node` among them; raises InvalidQuery."""
        return tuple(parse_matcher(text) for text in self.match)

    @property
    def needs_samples(self) -> bool:
        """Whether only single samples can answer it."""
        return self.over in PERCENTILES

    @property
    def has_band(self) -> bool:
        """Whether the least and largest of the samples say something beside its lines: beside means and last values."""
        return self.over in ("avg", "last") and (self.by is None or self.across == "avg")


class Formula(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arithmetic between queries, and formulas before it, bucket by bucket."""

    id: str
    expr: str
    hidden: bool = False


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value worth a line across the graph."""

    value: float
    label: str = ""


class Graph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One graph: its queries, and how it is drawn; `unit` None is what the metrics' names say."""

    queries: tuple[Query, ...] = ()
    formulas: tuple[Formula, ...] = ()
    shift: tuple[str, ...] = ()
    kind: Kind = "lines"
    log: bool = False
    unit: str | None = None
    thresholds: tuple[Threshold, ...] = ()

    @property
    def shifts_s(self) -> dict[str, int]:
        """How far back each comparison lies, in seconds."""
        return {text: shift_s(text) for text in self.shift}


def graph_of(value: object) -> Graph:
    """A graph from decoded JSON; raises InvalidQuery that names the place."""
    try:
        graph = msgspec.convert(value, Graph)
    except msgspec.ValidationError as error:
        raise InvalidQuery(f"the graph is not of the expected shape: {error}") from error
    return check(graph)


def as_json(graph: Graph) -> dict[str, Any]:
    """A graph as plain values, the inverse of `graph_of`."""
    found: dict[str, Any] = msgspec.to_builtins(graph)
    return found


def check(graph: Graph) -> Graph:
    """The same graph; raises InvalidQuery, worded for the person who wrote it."""
    _at_most(graph.queries, QUERIES_MAX, "queries")
    _at_most(graph.formulas, FORMULAS_MAX, "formulas")
    _at_most(graph.shift, SHIFTS_MAX, "comparisons")
    _at_most(graph.thresholds, THRESHOLDS_MAX, "thresholds")
    for query in graph.queries:
        _check_query(query)
    _check_formulas(graph)
    for text in graph.shift:
        shift_s(text)
    if graph.unit is not None and not _UNIT.fullmatch(graph.unit):
        raise InvalidQuery(f"{shorten(graph.unit)} is no unit")
    for threshold in graph.thresholds:
        if not abs(threshold.value) < 1e300 or len(threshold.label) > TEXT_MAX_CHARS:
            raise InvalidQuery(f"a threshold is a number and at most {TEXT_MAX_CHARS} characters")
    return graph


def parse_matcher(text: str) -> Matcher:
    """`label=value`, `!=`, `=~` or `!~`; the value as it stands or in quotes. Raises InvalidQuery."""
    found = _MATCHER.fullmatch(text)
    if not found:
        raise InvalidQuery(f"{shorten(text)} is no matcher; write label=value, or with !=, =~, !~")
    label, operator, value = found.groups()
    if not (value.startswith('"') and value.endswith('"') and len(value) > 1):
        value = _quoted(value)
    return parse_filter(f"{label}{operator}{value}", MATCHER).matchers[0]


def matcher_text(label: str, operator: str, value: str) -> str:
    """A matcher that `parse_matcher` reads back, whatever the value holds."""
    is_plain = value == value.strip() and not value.startswith('"')
    return f"{label}{operator}{value if is_plain else _quoted(value)}"


def is_label(text: str) -> bool:
    """Whether a text can name a label."""
    return _LABEL.fullmatch(text) is not None


def shift_s(text: str) -> int:
    """`6h`, `1d` or `2w` in seconds; raises InvalidQuery."""
    found = _SHIFT.fullmatch(text)
    if not found:
        raise InvalidQuery(f"a comparison must be like 6h, 1d or 2w, not {shorten(text)}")
    return int(found[1]) * _SHIFT_S[found[2]]


def from_url(pairs: Sequence[tuple[str, str]]) -> Graph:
    """A graph from an address's parameters, those of other meaning passed over; raises InvalidQuery."""
    first = dict(reversed(pairs))
    queries = [_query_of(key, value, pairs) for key, value in first.items() if _QUERY_ID.fullmatch(key)]
    formulas = [
        {"id": key, "expr": value, "hidden": first.get(f"{key}.hidden") == "1"}
        for key, value in first.items()
        if _FORMULA_ID.fullmatch(key)
    ]
    graph: dict[str, Any] = {
        "queries": sorted(queries, key=lambda query: str(query["id"])),
        "formulas": sorted(formulas, key=lambda one: int(str(one["id"])[1:])),
        "shift": _all("shift", pairs),
        "log": first.get("log") == "1",
        "thresholds": [_threshold_of(text) for text in _all("threshold", pairs)],
    }
    return graph_of(graph | {key: first[key] for key in ("kind", "unit") if first.get(key)})


def to_url(graph: Graph) -> str:
    """The parameters of an address, in the order of the graph; `static/graph.js` writes the same."""
    pairs: list[tuple[str, str]] = []
    for query in graph.queries:
        pairs.append((query.id, query.metric))
        pairs += [(f"{query.id}.match", text) for text in query.match]
        pairs += [(f"{query.id}.over", query.over)] if query.over != "avg" else []
        pairs += [(f"{query.id}.by", ",".join(query.by))] if query.by is not None else []
        pairs += [(f"{query.id}.across", query.across)] if query.across != "avg" else []
        pairs += [(f"{query.id}.top", str(query.top))] if query.top is not None else []
        pairs += [(f"{query.id}.hidden", "1")] if query.hidden else []
    for one in graph.formulas:
        pairs += [(one.id, one.expr), *([(f"{one.id}.hidden", "1")] if one.hidden else [])]
    pairs += [("shift", text) for text in graph.shift]
    pairs += [("kind", graph.kind)] if graph.kind != "lines" else []
    pairs += [("log", "1")] if graph.log else []
    pairs += [("unit", graph.unit)] if graph.unit else []
    pairs += [("threshold", _threshold_text(one)) for one in graph.thresholds]
    return urlencode(pairs, quote_via=quote, safe="/:,=~!.*()")


def _check_query(query: Query) -> None:
    if not _QUERY_ID.fullmatch(query.id):
        raise InvalidQuery(f"a query's id must be one letter from A to Z, not {shorten(query.id)}")
    try:
        check_metric(query.metric)
    except InvalidKey as error:
        raise InvalidQuery(f"query {query.id}: {error}") from error
    _at_most(query.match, MATCHERS_MAX, f"matchers in query {query.id}")
    assert query.matchers is not None
    _at_most(query.by or (), LABELS_MAX, f"labels to group query {query.id} by")
    for label in query.by or ():
        if not is_label(label):
            raise InvalidQuery(f"query {query.id} groups by {shorten(label)}, which is no label's name")
    if len(set(query.by or ())) < len(query.by or ()):
        raise InvalidQuery(f"query {query.id} groups by a label twice")
    if query.top is not None and not 1 <= query.top <= LINES_MAX:
        raise InvalidQuery(f"`top` of query {query.id} must be from 1 to {LINES_MAX}")


def _check_formulas(graph: Graph) -> None:
    known = [query.id for query in graph.queries]
    if len(set(known)) < len(known):
        raise InvalidQuery("two queries have one id")
    for one in graph.formulas:
        if not _FORMULA_ID.fullmatch(one.id) or one.id in known:
            raise InvalidQuery(f"a formula's id must be F1 to F99 and its own, not {shorten(one.id)}")
        for name in formula.names(formula.parse(one.expr)):
            if name not in known:
                raise InvalidQuery(f"formula {one.id} speaks of {name}, which is no query and no formula before it")
        known.append(one.id)


def _at_most(found: Sequence[object], limit: int, what: str) -> None:
    if len(found) > limit:
        raise InvalidQuery(f"there are {len(found)} {what}; at most {limit} are answered")


def _query_of(key: str, metric: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    said = {name: _all(f"{key}.{name}", pairs) for name in ("over", "by", "across", "top", "hidden")}
    query: dict[str, Any] = {"id": key, "metric": metric, "match": _all(f"{key}.match", pairs)}
    query |= {name: said[name][0] for name in ("over", "across") if said[name]}
    if said["by"]:
        query["by"] = [label.strip() for label in said["by"][0].split(",") if label.strip()]
    if said["top"]:
        query["top"] = int(said["top"][0]) if said["top"][0].isdecimal() else 0
    return query | {"hidden": said["hidden"] == ["1"]}


def _all(name: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [value for key, value in pairs if key == name]


def _threshold_of(text: str) -> dict[str, Any]:
    value, _, label = text.partition(":")
    try:
        return {"value": float(value), "label": label}
    except ValueError:
        raise InvalidQuery(f"a threshold must be like 80:high, not {shorten(text)}") from None


def _threshold_text(threshold: Threshold) -> str:
    value = f"{threshold.value:.17g}" if threshold.value != int(threshold.value) else str(int(threshold.value))
    return f"{value}:{threshold.label}" if threshold.label else value


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
