"""The lines of a graph: what formulas make of those of queries, and what each is called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from domain import formula
from domain.query import NODE, Formula, Graph

Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """One line as a graph shows it; `source` is the id of its query or formula, `shift` how far back it lies."""

    source: str
    metric: str
    labels: Mapping[str, str]
    values: Values
    shift: str = ""


def calculate(one: Formula, operands: Mapping[str, Sequence[Line]], count: int) -> list[Line]:
    """The lines of a formula, of `count` values each; operands are the lines of queries by their ids.

    The side with the most labels leads: each of its lines meets, of every other side, the line all of whose labels it
    has too. So `A / B` works when both are by node, when B is one line of all, and when A is by node and device and B
    by node. A line that meets nothing on some side is left out.
    """
    expression = formula.parse(one.expr)
    sides = {name: operands.get(name, ()) for name in formula.names(expression)}
    leader = max(sides, key=lambda name: max((len(line.labels) for line in sides[name]), default=0))
    others = {name: _Side(lines) for name, lines in sides.items() if name != leader}
    found = []
    for lead in sides[leader]:
        met = {name: side.meet(lead.labels) for name, side in others.items()}
        values = {name: line.values for name, line in {**met, leader: lead}.items() if line is not None}
        if len(values) == len(sides):
            result = formula.evaluate(expression, values, count)
            found.append(replace(lead, source=one.id, metric="", values=result))
    return found


class _Side:
    """The lines of one side, to be found by their labels."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines: dict[frozenset[str], dict[frozenset[tuple[str, str]], Line]] = {}
        for line in lines:
            self._lines.setdefault(frozenset(line.labels), {})[frozenset(line.labels.items())] = line

    def meet(self, labels: Mapping[str, str]) -> Line | None:
        """The line all of whose labels are among these, the one with the most if there are several."""
        for keys in sorted(self._lines, key=len, reverse=True):
            if keys <= labels.keys() and (line := self._lines[keys].get(_part(labels, keys))) is not None:
                return line
        return None


def _part(labels: Mapping[str, str], keys: Iterable[str]) -> frozenset[tuple[str, str]]:
    return frozenset((key, labels[key]) for key in keys)


def largest(lines: Sequence[Line], most: int) -> Sequence[Line]:
    """At most so many lines: those whose values have the largest mean, in their order."""
    if len(lines) <= most:
        return lines
    means = [sum(found) / len(found) if (found := _present(line)) else -inf for line in lines]
    chosen = sorted(range(len(lines)), key=lambda n: -means[n])[:most]
    return [lines[n] for n in sorted(chosen)]


def _present(line: Line) -> list[float]:
    return [value for value in line.values if value is not None]


def name_lines(lines: Sequence[Line], graph: Graph) -> list[str]:
    """A name for each line: what differs among those of its query, and before it the query's, if there are several."""
    titles = _titles(graph)
    sources = list(dict.fromkeys(line.source for line in lines))
    telling = {source: _telling([line for line in lines if line.source == source]) for source in sources}
    names = []
    for line in lines:
        parts = [line.labels[key] for key in telling[line.source] if line.labels.get(key)]
        if len(sources) > 1 or not parts:
            parts.insert(0, titles[line.source])
        back = f" ({line.shift} before)" if line.shift else ""
        names.append(" · ".join(parts) + back)
    return names


def _titles(graph: Graph) -> dict[str, str]:
    """A query is called by its metric, or by its id too where several queries are of one metric."""
    metrics = [query.metric for query in graph.queries]
    titles = {
        query.id: query.metric if metrics.count(query.metric) == 1 else f"{query.id} {query.metric}"
        for query in graph.queries
    }
    return titles | {one.id: one.expr for one in graph.formulas}


def _telling(lines: Sequence[Line]) -> list[str]:
    """The labels that differ, the node first; all of them when none does."""
    keys = sorted({key for line in lines for key in line.labels}, key=lambda key: (key != NODE, key))
    return [key for key in keys if len({line.labels.get(key) for line in lines}) > 1] or keys
