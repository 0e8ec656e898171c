"""Dashboards as people keep them: panels on a grid of 12 columns, variables, and the form in which they travel.

The same JSON is stored, exported, imported and sent by the editor (`of`, `read`, `as_json`, `export`):

    {"format": "metrist/dashboard", "version": 1, "title": "Web servers", "range": "3h",
     "events": true, "variables": [{"name": "node", "label": "node", "value": "web-1"}],
     "panels": [
       {"type": "graph", "id": "cpu", "x": 0, "y": 0, "w": 6, "h": 5, "title": "CPU of $node",
        "graph": {"queries": [{"id": "A", "metric": "cpu.usage_percent", "match": ["node=$node"]}]}},
       {"type": "text", "id": "about", "x": 6, "y": 0, "w": 6, "h": 5, "text": "# Who to call"}]}

A variable has one value, several (a list), or none, which means all. Its place is the whole value of a matcher,
`node=$node`; what stands there is compared as it is, never read as a pattern, and the matcher is left out for all.
`graph` is as domain/query.py has it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, count
from typing import Any, Final, Literal

import msgspec

from domain import query
from domain.errors import InvalidBody, InvalidQuery, TooLarge
from domain.matchers import any_of
from domain.query import Graph, Query
from domain.series_key import shorten

FORMAT: Final = "metrist/dashboard"
VERSION: Final = 1

COLUMNS: Final = 12
ROWS_MAX: Final = 1_000
HEIGHT_MAX: Final = 40
PANELS_MAX: Final = 100
NEW_WIDTH, NEW_HEIGHT = 6, 6
VARIABLES_MAX: Final = 8
TITLE_MAX_CHARS: Final = 100
TEXT_MAX_CHARS: Final = 10_000
VALUE_MAX_CHARS: Final = 200
VALUES_MAX: Final = 50
"""Of one variable at a time."""
DOCUMENT_MAX_BYTES: Final = 131_072
"""Of a dashboard in all: each of its revisions is kept whole."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_RANGE = re.compile(r"[1-9][0-9]{0,5}[smhdy]")


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Where a panel lies: column and row of its corner, counted from 0, and how many of each it takes."""

    id: str
    x: int
    y: int
    w: int
    h: int
    title: str = ""


class GraphPanel(Place, frozen=True, forbid_unknown_fields=True, tag="graph"):
    """A graph."""

    graph: Graph = Graph()


class TextPanel(Place, frozen=True, forbid_unknown_fields=True, tag="text"):
    """Words of people for people: headings, lists, bold, code and links, as in Markdown."""

    text: str = ""


Panel = GraphPanel | TextPanel


Value = str | tuple[str, ...]
"""Of a variable: one text, two or more of them, or none, which is "" and means all."""


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bar above the panels lets people choose: a value of `label`, which `value` is at first; empty is all."""

    name: str
    label: str
    value: Value = ""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole dashboard; `events` is whether what happened meanwhile lies over its graphs at first."""

    format: Literal["metrist/dashboard"]
    version: Literal[1]
    title: str
    range: str = "1h"
    events: bool = True
    variables: tuple[Variable, ...] = ()
    panels: tuple[Panel, ...] = ()

    def graph(self, panel_id: str) -> Graph | None:
        """The graph of a panel; None where there is no such panel, or it holds none."""
        found = next((panel for panel in self.panels if panel.id == panel_id), None)
        return found.graph if isinstance(found, GraphPanel) else None


Values = Mapping[str, Value]
"""Name of a variable → what is chosen."""


def read(data: bytes) -> Document:
    """A dashboard from a file or a request; raises TooLarge, InvalidBody worded for whoever wrote it."""
    if len(data) > DOCUMENT_MAX_BYTES:
        raise TooLarge(f"The dashboard has {len(data):,} bytes; at most {DOCUMENT_MAX_BYTES:,} are kept")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"This is not JSON: {error}") from error
    return of(value)


def of(value: object) -> Document:
    """A dashboard from decoded JSON; raises InvalidBody that names the place."""
    _check_format(value)
    try:
        document = msgspec.convert(value, Document)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"The dashboard is not of the expected shape: {error}") from error
    return check(document)


def kept(value: object) -> Document:
    """A dashboard as it was stored, after `of` had seen it."""
    return msgspec.convert(value, Document)


def as_json(document: Document) -> dict[str, Any]:
    """A dashboard as plain values, the inverse of `of`."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    if document.events:
        del found["events"]  # so that releases before it, which know of none, can read it
    return found


def export(document: Document) -> bytes:
    """A dashboard as a file that people can read and compare; the inverse of `read`."""
    return msgspec.json.format(msgspec.json.encode(as_json(document)), indent=2) + b"\n"


def check(document: Document) -> Document:
    """The same dashboard, its title tidied; raises InvalidBody, worded for whoever wrote it."""
    tidied = msgspec.structs.replace(document, title=clean_title(document.title))
    if not _RANGE.fullmatch(document.range):
        raise InvalidBody(f"`range` is like 15m, 3h or 7d, not {shorten(document.range)}")
    _at_most(document.variables, VARIABLES_MAX, "variables")
    _at_most(document.panels, PANELS_MAX, "panels")
    _check_variables(document.variables)
    for panel in document.panels:
        _check_panel(panel)
    _check_apart(document.panels)
    variables = tuple(msgspec.structs.replace(one, value=as_value(one.value)) for one in document.variables)
    tidied = msgspec.structs.replace(tidied, variables=variables)
    if len(msgspec.json.encode(tidied)) > DOCUMENT_MAX_BYTES:
        raise InvalidBody(f"A dashboard takes at most {DOCUMENT_MAX_BYTES:,} bytes; make two of it")
    return tidied


def new(title: str) -> Document:
    """A dashboard without panels; raises InvalidBody."""
    return Document(FORMAT, VERSION, clean_title(title))


def add(document: Document, graph: Graph, title: str, panel_id: str) -> Document:
    """The same with one more graph, in the first place that has room for it; raises InvalidBody."""
    x, y = _room(document.panels, NEW_WIDTH, NEW_HEIGHT)
    panel = GraphPanel(panel_id, x, y, NEW_WIDTH, NEW_HEIGHT, title, graph)
    return check(msgspec.structs.replace(document, panels=(*document.panels, panel)))


def _room(panels: Sequence[Place], width: int, height: int) -> tuple[int, int]:
    """As `static/grid.js` finds it."""
    places = ((x, y) for y in count() for x in range(COLUMNS - width + 1))
    return next((x, y) for x, y in places if not any(_meet(Place("", x, y, width, height), one) for one in panels))


def _meet(one: Place, other: Place) -> bool:
    return (
        one.x < other.x + other.w and other.x < one.x + one.w and one.y < other.y + other.h and other.y < one.y + one.h
    )


def copy(document: Document) -> Document:
    """The same under a title that tells it apart."""
    ending = " (copy)"
    return msgspec.structs.replace(document, title=document.title[: TITLE_MAX_CHARS - len(ending)].rstrip() + ending)


def clean_title(title: str) -> str:
    """A title as it is kept: one line, trimmed; raises InvalidBody."""
    cleaned = " ".join(title.split())
    if not cleaned or len(cleaned) > TITLE_MAX_CHARS or not cleaned.isprintable():
        raise InvalidBody(f"A dashboard's title has 1 to {TITLE_MAX_CHARS} printable characters")
    return cleaned


def choose(document: Document, given: Mapping[str, str | Sequence[str]]) -> dict[str, Value]:
    """The value of every variable: what is given, else what it is at first. Raises InvalidQuery."""
    chosen = {name: as_value(value) for name, value in given.items()}
    return {one.name: chosen.get(one.name, one.value) for one in document.variables}


def as_value(given: str | Sequence[str]) -> Value:
    """A variable's value in its one form: nothing twice, a single one as text, none as "". Raises InvalidQuery."""
    texts = (given,) if isinstance(given, str) else tuple(dict.fromkeys(text for text in given if text))
    if len(texts) > VALUES_MAX:
        raise InvalidQuery(f"{len(texts)} values are chosen for a variable; at most {VALUES_MAX} are, or all")
    if any(len(text) > VALUE_MAX_CHARS for text in texts):
        raise InvalidQuery(f"a variable's value has at most {VALUE_MAX_CHARS} characters")
    return texts if len(texts) > 1 else "".join(texts)


def bind(graph: Graph, values: Values) -> Graph:
    """The graph with values in the places of variables; raises InvalidQuery."""
    queries = tuple(msgspec.structs.replace(one, match=tuple(_bound(one.match, values))) for one in graph.queries)
    return msgspec.structs.replace(graph, queries=queries)


def metrics_with(document: Document, variable: Variable) -> list[str]:
    """The metrics whose queries a variable chooses for; all metrics of the dashboard where none does yet."""
    queries = list(_queries(document))
    asking = [one for one in queries if any(_variable_in(text) == variable.name for text in one.match)]
    return list(dict.fromkeys(one.metric for one in asking or queries))


def _queries(document: Document) -> Iterator[Query]:
    for panel in document.panels:
        if isinstance(panel, GraphPanel):
            yield from panel.graph.queries


def _bound(match: Sequence[str], values: Values) -> Iterator[str]:
    for text in match:
        name = _variable_in(text)
        if name is None or name not in values:
            yield text
        elif value := values[name]:
            matcher = query.parse_matcher(text)
            sign = matcher.operator[0]
            if isinstance(value, str):
                yield query.matcher_text(matcher.label, "=" if sign == "=" else "!=", value)
            else:
                yield query.matcher_text(matcher.label, f"{sign}~", any_of(value))


def _variable_in(text: str) -> str | None:
    """The name of the variable that a matcher compares with."""
    value = query.parse_matcher(text).value
    return value[1:] if value.startswith("$") and _NAME.fullmatch(value[1:]) else None


def _check_format(value: object) -> None:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InvalidBody(f'This is no dashboard of Metrist\'s: one begins with "format": "{FORMAT}"')
    if value.get("version") != VERSION:
        raise InvalidBody(
            f"This dashboard is of version {shorten(str(value.get('version')))}, this release reads version {VERSION}"
        )


def _check_variables(variables: Sequence[Variable]) -> None:
    names = [one.name for one in variables]
    if len(set(names)) < len(names):
        raise InvalidBody("Two variables have one name")
    for one in variables:
        if not _NAME.fullmatch(one.name):
            raise InvalidBody(f"A variable's name is letters, digits and _, not {shorten(one.name)}")
        if not _LABEL.fullmatch(one.label):
            raise InvalidBody(f"Variable {one.name}: {shorten(one.label)} is no label's name")
        try:
            as_value(one.value)
        except InvalidQuery as error:
            raise InvalidBody(f"Variable {one.name}: {error.detail}") from error


def _check_panel(panel: Panel) -> None:
    if not _ID.fullmatch(panel.id):
        raise InvalidBody(f"A panel's id is up to 32 letters, digits, _ and -, not {shorten(panel.id)}")
    called = f"Panel “{shorten(panel.title or panel.id)}”"
    if len(panel.title) > TITLE_MAX_CHARS or not panel.title.isprintable():
        raise InvalidBody(f"{called}: a title has at most {TITLE_MAX_CHARS} printable characters")
    if min(panel.x, panel.w - 1) < 0 or panel.x + panel.w > COLUMNS:
        raise InvalidBody(f"{called} does not fit into {COLUMNS} columns")
    if min(panel.y, panel.h - 1) < 0 or panel.h > HEIGHT_MAX or panel.y + panel.h > ROWS_MAX:
        raise InvalidBody(f"{called}: a panel is 1 to {HEIGHT_MAX} rows high, and ends within {ROWS_MAX} rows")
    if isinstance(panel, TextPanel):
        if len(panel.text) > TEXT_MAX_CHARS:
            raise InvalidBody(f"{called}: a text has at most {TEXT_MAX_CHARS:,} characters")
        return
    try:
        query.check(panel.graph)
    except InvalidQuery as error:
        raise InvalidBody(f"{called}: {error.detail}") from error


def _check_apart(panels: Sequence[Panel]) -> None:
    ids = [panel.id for panel in panels]
    if len(set(ids)) < len(ids):
        raise InvalidBody("Two panels have one id")
    for one, other in combinations(panels, 2):
        if _meet(one, other):
            raise InvalidBody(f"Panels “{one.title or one.id}” and “{other.title or other.id}” overlap")


def _at_most(found: Sequence[object], limit: int, what: str) -> None:
    if len(found) > limit:
        raise InvalidBody(f"There are {len(found)} {what}; a dashboard has at most {limit}")
