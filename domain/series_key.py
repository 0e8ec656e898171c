"""A metric's name and labels as one text: `disk.used{device="sda1",mount="/"}`.

The canonical form has its labels sorted by key, no spaces, and `\\`, `"` and line feeds escaped, so that equal
series have equal text. ClickHouse splits it at the first `{`; `labelset` is what stands between the braces.
"""

import re
from collections.abc import Mapping

METRIC_MAX_CHARS = 200
LABEL_KEY_MAX_CHARS = 64
LABEL_VALUE_MAX_CHARS = 256
LABELS_MAX = 32

_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*")
_LABEL_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_LABEL = re.compile(r'\s*([^=,{}"\s]+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNESCAPE = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class InvalidKey(ValueError):
    """The text is no series key; `reason` is a short slug, the message says what to change."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def parse(key: str) -> tuple[str, dict[str, str]]:
    """Split a key into metric name and labels; raises InvalidKey."""
    name, brace, rest = key.partition("{")
    check_metric(name)
    if not brace:
        return name, {}
    if not rest.endswith("}"):
        raise InvalidKey("label-syntax", f'{shorten(key)} opens a brace and does not end with "}}"')
    return name, _parse_labels(rest[:-1], key)


def compose(name: str, labels: Mapping[str, str]) -> str:
    """The canonical text of a series; the inverse of `parse`."""
    return f"{name}{{{labelset(labels)}}}" if labels else name


def labelset(labels: Mapping[str, str]) -> str:
    """The canonical text of labels, as the `labelset` column holds it."""
    return ",".join(f'{key}="{_escape(value)}"' for key, value in sorted(labels.items()))


def parse_labelset(text: str) -> dict[str, str]:
    """Labels from a `labelset` column's text; raises InvalidKey."""
    return _parse_labels(text, text)


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise InvalidKey unless every key and value is within the limits."""
    if len(labels) > LABELS_MAX:
        raise InvalidKey("too-many-labels", f"{len(labels)} labels; at most {LABELS_MAX} are allowed")
    for key, value in labels.items():
        if len(key) > LABEL_KEY_MAX_CHARS or not _LABEL_KEY.fullmatch(key):
            raise InvalidKey(
                "label-name",
                f"label name {shorten(key)} must be letters, digits, _ or ., start with a letter or _, "
                f"and have at most {LABEL_KEY_MAX_CHARS} characters",
            )
        if len(value) > LABEL_VALUE_MAX_CHARS:
            raise InvalidKey(
                "label-value", f"the value of label {key} has {len(value)} characters; at most {LABEL_VALUE_MAX_CHARS}"
            )
        if _CONTROL.search(value):
            raise InvalidKey("label-value", f"the value of label {key} holds a control character")


def check_metric(name: str) -> None:
    """Raise InvalidKey unless `name` can name a metric."""
    if not name:
        raise InvalidKey("metric-name", "a metric name is empty")
    if len(name) > METRIC_MAX_CHARS:
        raise InvalidKey(
            "metric-name", f"metric name {shorten(name)} is too long; at most {METRIC_MAX_CHARS} characters"
        )
    if not _METRIC.fullmatch(name):
        raise InvalidKey(
            "metric-name",
            f"metric name {shorten(name)} must be letters, digits and _ . : / -, and start with a letter or _",
        )


def shorten(text: str, limit: int = 80) -> str:
    """A text as it may be quoted in an error: printable and short."""
    shown = repr(text[:limit])
    return shown if len(text) <= limit else f"{shown}… ({len(text)} characters)"


def _parse_labels(text: str, whole: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if match is None or (match[3] == "," and match.end() == len(text)):
            raise InvalidKey("label-syntax", f'the labels of {shorten(whole)} must read {{key="value",key2="value2"}}')
        if match[1] in labels:
            raise InvalidKey("label-twice", f"{shorten(whole)} names the label {shorten(match[1])} twice")
        labels[match[1]] = _unescape(match[2])
        at = match.end()
    check_labels(labels)
    return labels


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescape(value: str) -> str:
    return re.sub(r'\\[\\"n]', lambda match: _UNESCAPE[match[0]], value) if "\\" in value else value
