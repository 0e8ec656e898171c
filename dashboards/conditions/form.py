"""A condition as the fields of a form, and back: the editor works without JavaScript, so a form is all there is."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.datastructures import FormData

from domain.condition_specs import EVERY_S, MetricRule, NodesRule, ReportedRule, Spec, spec_of
from domain.errors import InvalidBody
from domain.query import from_url

Fields = Mapping[str, str]

WINDOWS: Final = {10: "10 s", 30: "30 s", 60: "1 min", 300: "5 min", 600: "10 min", 1_800: "30 min", 3_600: "1 h",
                  21_600: "6 h", 86_400: "1 d"}  # fmt: skip
HOLDS: Final = {0: "at once", 30: "30 s", 60: "1 min", 120: "2 min", 300: "5 min", 600: "10 min", 1_800: "30 min",
                3_600: "1 h"}  # fmt: skip
KEEPS: Final = {0: "at once", 60: "1 min", 300: "5 min", 900: "15 min", 3_600: "1 h"}
SILENCES: Final = {60: "1 min", 300: "5 min", 900: "15 min", 3_600: "1 h", 21_600: "6 h", 86_400: "1 d"}
OVERS: Final = {"avg": "average", "max": "maximum", "min": "minimum", "last": "last value", "sum": "sum",
                "count": "number of samples", "rate": "growth a second"}  # fmt: skip
ACROSSES: Final = {"avg": "average", "max": "maximum", "min": "minimum", "sum": "sum", "count": "number of series"}
NO_DATA: Final = {"show": "show it, tell nobody", "notify": "show it and tell", "ok": "count as ok",
                  "firing": "count as over the limit"}  # fmt: skip
EVERY: Final = {number: f"{number} s" if number < 60 else f"{number // 60} min" for number in EVERY_S}

EMPTY: Final[Fields] = {
    "name": "", "kind": "metric", "metric": "", "match": "", "over": "avg", "groups": "node", "by": "", "across": "avg",
    "window_s": "60", "every_s": "10", "comparison": ">", "threshold": "", "clear": "", "silent": "offline",
    "status": "", "least": "warning", "unknown": "firing", "hold_s": "0", "keep_firing_s": "0", "no_data": "show",
    "no_data_after_s": "300", "severity": "warning", "labels": "", "runbook": "", "message": "", "capture": "",
    "minutes": "5",
}  # fmt: skip
"""Each field, as it stands in an empty form."""


def fields_of(form: FormData) -> dict[str, str]:
    """What was sent, with what was left out as it is in an empty form."""
    return {name: str(form.get(name, usual))[:5_000] for name, usual in EMPTY.items()}


def spec_from(fields: Fields) -> Spec:
    """The condition that a form says. Raises InvalidBody, InvalidQuery."""
    rules = {"metric": _metric, "nodes": _nodes, "reported": _reported}
    rule = rules.get(fields["kind"])
    if rule is None:
        raise InvalidBody("A condition is about a metric, about nodes, or about a status that is reported")
    value: dict[str, Any] = {
        "rule": {"kind": fields["kind"], **rule(fields)},
        "labels": _labels(fields["labels"]),
        "capture": {"when": fields["capture"], "minutes": _whole(fields, "minutes")} if fields["capture"] else None,
        **{name: _whole(fields, name) for name in ("hold_s", "keep_firing_s", "no_data_after_s")},
        **{name: fields[name].strip() for name in ("no_data", "severity", "runbook", "message")},
    }
    return spec_of(value)


def fields_from(name: str, spec: Spec) -> dict[str, str]:
    """A condition as the form shows it."""
    told = {
        "name": name,
        "kind": spec.kind,
        "labels": "\n".join(f"{label}={text}" for label, text in spec.labels.items()),
        "capture": spec.capture.when if spec.capture else "",
        "minutes": str(spec.capture.minutes) if spec.capture else EMPTY["minutes"],
        **{field: str(getattr(spec, field)) for field in ("hold_s", "keep_firing_s", "no_data_after_s")},
        **{field: str(getattr(spec, field)) for field in ("no_data", "severity", "runbook", "message")},
    }
    match spec.rule:
        case MetricRule() as rule:
            told |= _of_metric(rule)
        case NodesRule() as rule:
            told |= {"match": "\n".join(rule.match), "silent": rule.silent}
        case ReportedRule() as rule:
            told |= {"status": rule.status, "least": rule.least, "unknown": rule.unknown}
    return {**EMPTY, **told}


def fields_from_address(query: str) -> dict[str, str]:
    """The first query of a graph's address, and its first threshold, as a form that only needs a name."""
    graph = from_url(parse_qsl(query, keep_blank_values=True))
    if not graph.queries:
        return dict(EMPTY)
    asked = graph.queries[0]
    limit = graph.thresholds[0].value if graph.thresholds else None
    found = fields_from("", Spec(MetricRule(asked, 60, 10, ">", limit or 0.0)))
    return found | ({} if limit is not None else {"threshold": ""})


def _metric(fields: Fields) -> dict[str, Any]:
    window_s = _whole(fields, "window_s")
    every_s = _whole(fields, "every_s")
    by = {"each": None, "all": [], "node": ["node"]}.get(fields["groups"], _split(fields["by"]))
    query = {
        "id": "A",
        "metric": fields["metric"].strip(),
        "match": _lines(fields["match"]),
        "over": fields["over"],
        "by": by,
        "across": fields["across"],
    }
    return {
        "query": query,
        "window_s": window_s,
        "every_s": max(every_s, 60) if window_s >= 600 else _seen_twice(every_s, window_s),
        "comparison": fields["comparison"],
        "threshold": _number(fields, "threshold", "the limit"),
        "clear": _number(fields, "clear", "the limit to be ok again") if fields["clear"].strip() else None,
    }


def _seen_twice(every_s: int, window_s: int) -> int:
    """As often as asked, and often enough that a sample which comes late is in the window of a later look."""
    return max((one for one in EVERY_S if one <= min(every_s, window_s // 2)), default=EVERY_S[0])


def _nodes(fields: Fields) -> dict[str, Any]:
    return {"match": _lines(fields["match"]), "silent": fields["silent"]}


def _reported(fields: Fields) -> dict[str, Any]:
    return {"status": fields["status"], "least": fields["least"], "unknown": fields["unknown"]}


def _of_metric(rule: MetricRule) -> dict[str, str]:
    by = rule.query.by
    groups = "each" if by is None else "all" if not by else "node" if by == ("node",) else "by"
    return {
        "metric": rule.query.metric,
        "match": "\n".join(rule.query.match),
        "over": rule.query.over,
        "groups": groups,
        "by": ", ".join(by or ()) if groups == "by" else "",
        "across": rule.query.across,
        "window_s": str(rule.window_s),
        "every_s": str(rule.every_s),
        "comparison": rule.comparison,
        "threshold": f"{rule.threshold:g}",
        "clear": "" if rule.clear is None else f"{rule.clear:g}",
    }


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _labels(text: str) -> dict[str, str]:
    pairs: Sequence[tuple[str, str, str]] = [line.partition("=") for line in _lines(text)]
    if any(not sign for _, sign, _ in pairs):
        raise InvalidBody("Labels are written like team=web, one a line")
    return {label.strip(): value.strip() for label, _, value in pairs}


def _whole(fields: Fields, name: str) -> int:
    text = fields[name].strip()
    if not text.isdecimal() or len(text) > 9:
        raise InvalidBody(f"“{text[:40]}” is no whole number of seconds or minutes")
    return int(text)


def _number(fields: Fields, name: str, called: str) -> float:
    text = fields[name].strip().replace(",", ".")
    try:
        return float(text)
    except ValueError:
        raise InvalidBody(f"Say {called} as a number" if not text else f"“{text[:40]}” is no number") from None
