"""What a node may report: a body is decoded, judged sample by sample, and put into the spool's form.

The common case costs no Python loop over samples: msgspec decodes and checks types in C, the set of distinct keys
is compared with the keys already known to be good, and the body's bytes go to the spool as they came. Anything
unusual (a bad sample, labels of the snapshot, text timestamps, unsorted labels) takes the slower road of `_rewrite`.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from domain import series_key
from domain.errors import InvalidBody, MalformedBody
from domain.series_key import InvalidKey, shorten

NODE_MAX_CHARS = 128
EXAMPLES_MAX = 20
_NODE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._:@/-]*[A-Za-z0-9_])?")
_KNOWN_MAX = 500_000


class Snapshot(msgspec.Struct, gc=False):
    """One report by a node at one instant; `ts` in Unix seconds, absent is now."""

    node: str
    metrics: dict[str, float]
    ts: float | str | None = None
    labels: dict[str, str] | None = None


@dataclass(frozen=True)
class Bounds:
    """The instants a sample may have, Unix seconds: [oldest_s, newest_s]; `now_s` stands in for an absent one."""

    oldest_s: float
    now_s: float
    newest_s: float


@dataclass
class Refusal:
    """Samples that were refused for one reason, counted, with the first case spelled out."""

    reason: str
    detail: str
    count: int = 0
    example: str = ""


@dataclass(frozen=True)
class Admitted:
    """What of a body is kept.

    snapshots   a JSON array of {"node", "ts", "metrics"}, without line feeds, keys canonical; b"" when nothing is
    nodes       names of the nodes, also of those whose samples were all refused
    is_dated    every snapshot says its own time, so that an equal body is a resend
    span_s      the oldest and the newest time of what is kept, Unix seconds; None when nothing is
    """

    snapshots: bytes
    accepted: int
    nodes: frozenset[str]
    is_dated: bool
    refusals: list[Refusal] = field(default_factory=list)
    span_s: tuple[float, float] | None = None

    @property
    def refused(self) -> int:
        return sum(refusal.count for refusal in self.refusals)


class Admission:
    """Decodes bodies and decides what is kept; remembers good keys and node names between bodies.

    The memory is bounded: it is dropped and learned again after 500 000 keys. Not thread-safe.
    """

    def __init__(self) -> None:
        self._one = msgspec.json.Decoder(Snapshot)
        self._many = msgspec.json.Decoder(list[Snapshot])
        self._encode = msgspec.json.Encoder().encode
        self._good_keys: set[str] = set()
        self._good_nodes: set[str] = set()

    def admit(self, body: bytes, bounds: Bounds, *, is_ndjson: bool = False) -> Admitted:
        """Judge a body of one snapshot, an array of them, or one a line.

        Raises MalformedBody with the byte `offset`, InvalidBody when the shape is not that of snapshots.
        """
        if not body.strip():
            raise MalformedBody('the body is empty; send {"node": …, "metrics": {…}}', offset=0)
        try:
            snapshots = self._decode(body, is_ndjson)
        except msgspec.ValidationError:
            return self._rewrite(loose(body, is_ndjson), bounds)
        except msgspec.DecodeError as error:
            return self._rewrite(loose(body, is_ndjson, error), bounds)
        except (UnicodeDecodeError, RecursionError):
            return self._rewrite(loose(body, is_ndjson), bounds)
        return self._as_it_came(body, snapshots, bounds) or self._rewrite(
            [msgspec.structs.asdict(snapshot) for snapshot in snapshots], bounds
        )

    def _decode(self, body: bytes, is_ndjson: bool) -> list[Snapshot]:
        if is_ndjson:
            return self._one.decode_lines(body)
        if body.lstrip()[:1] == b"[":
            return self._many.decode(body)
        return self._one.decode_lines(body) if b"\n" in body.strip() else [self._one.decode(body)]

    def _as_it_came(self, body: bytes, snapshots: list[Snapshot], bounds: Bounds) -> Admitted | None:
        """The body's own bytes as an array, when nothing about them needs a second look; else None."""
        times = [snapshot.ts for snapshot in snapshots]
        if not snapshots or not set(map(type, times)) <= {float}:
            return None
        oldest, newest = min(times), max(times)  # type: ignore[type-var]  # all are floats, checked above
        metrics = [snapshot.metrics for snapshot in snapshots]
        nodes = frozenset([snapshot.node for snapshot in snapshots])
        samples = sum(map(len, metrics))
        is_plain = (
            bounds.oldest_s <= oldest  # type: ignore[operator]
            and newest <= bounds.newest_s  # type: ignore[operator]
            and nodes <= self._good_nodes
            and set().union(*metrics) <= self._good_keys
            and samples > 0
            and _colons_are(3 * len(snapshots) + samples, body)
            and not any(snapshot.labels is not None for snapshot in snapshots)
        )
        array = _as_array(body, len(snapshots)) if is_plain else None
        if array is None:
            return None
        return Admitted(array, samples, nodes, is_dated=True, span_s=(oldest, newest))  # type: ignore[arg-type]

    def _rewrite(self, found: Sequence[Any], bounds: Bounds) -> Admitted:
        """Judge each sample by itself and write the good ones anew."""
        ledger = _Ledger()
        kept: list[dict[str, Any]] = []
        nodes: set[str] = set()
        is_dated = bool(found)
        accepted = 0
        for position, snapshot in enumerate(found):
            judged = self._judge(snapshot, position, bounds, ledger)
            is_dated = is_dated and isinstance(snapshot, dict) and snapshot.get("ts") is not None
            if judged is None:
                continue
            nodes.add(judged["node"])
            if judged["metrics"]:
                kept.append(judged)
                accepted += len(judged["metrics"])
        if not nodes and not ledger.refusals:
            raise InvalidBody("the body holds no snapshot")
        snapshots = self._encode(kept) if kept else b""
        times = [float(judged["ts"]) for judged in kept]
        span_s = (min(times), max(times)) if times else None
        return Admitted(snapshots, accepted, frozenset(nodes), is_dated, list(ledger.refusals.values()), span_s)

    def _judge(self, snapshot: Any, position: int, bounds: Bounds, ledger: "_Ledger") -> dict[str, Any] | None:
        where = f"snapshot {position}"
        if not isinstance(snapshot, dict):
            ledger.refuse("not-a-snapshot", 'a snapshot is an object {"node", "ts", "metrics"}', where)
            return None
        metrics = snapshot.get("metrics")
        size = max(1, len(metrics)) if isinstance(metrics, dict) else 1
        try:
            node = self._node(snapshot.get("node"))
            if not isinstance(metrics, dict):
                raise InvalidKey("metrics-type", '"metrics" must be an object of names and numbers')
            labels = _snapshot_labels(snapshot.get("labels"))
        except InvalidKey as error:
            ledger.refuse(error.reason, str(error), where, size)
            return None
        try:
            ts = instant(snapshot.get("ts"), bounds)
        except InvalidKey as error:
            ledger.refuse(error.reason, str(error), f"{where}, node {node}", size)
            return {"node": node, "ts": bounds.now_s, "metrics": {}}
        good: dict[str, float] = {}
        for key, value in metrics.items():
            try:
                canonical = self._key(key, labels)
                if canonical in good:
                    raise InvalidKey("sample-twice", "the snapshot holds this series twice; the first one is kept")
                good[canonical] = number(value)
            except InvalidKey as error:
                ledger.refuse(error.reason, str(error), f"{where}, metric {shorten(str(key))}")
        return {"node": node, "ts": ts, "metrics": good}

    def _node(self, name: Any) -> str:
        if isinstance(name, str) and name in self._good_nodes:
            return name
        check_node(name)
        if len(self._good_nodes) > _KNOWN_MAX:
            self._good_nodes.clear()
        self._good_nodes.add(name)
        return str(name)

    def _key(self, key: Any, labels: dict[str, str]) -> str:
        if not labels and key in self._good_keys:
            return str(key)
        name, own = series_key.parse(key)
        if labels:
            own = {**labels, **own}
            series_key.check_labels(own)
        canonical = series_key.compose(name, own)
        if len(self._good_keys) > _KNOWN_MAX:
            self._good_keys.clear()
        self._good_keys.add(canonical)
        return canonical


class _Ledger:
    """Refusals by reason; past a bound of distinct ones the rest is counted together."""

    def __init__(self) -> None:
        self.refusals: dict[str, Refusal] = {}

    def refuse(self, reason: str, detail: str, example: str, count: int = 1) -> None:
        entry = self.refusals.setdefault(reason, Refusal(reason, detail, example=example))
        entry.count += count


def check_node(name: Any) -> None:
    """Raise InvalidKey unless `name` can name a node."""
    if not isinstance(name, str) or not name:
        raise InvalidKey("node-name", '"node" must be a text that names the machine')
    if len(name) > NODE_MAX_CHARS or not _NODE.fullmatch(name):
        raise InvalidKey(
            "node-name",
            f"node name {shorten(name)} must be letters, digits and . _ : @ / - (not at its ends), "
            f"at most {NODE_MAX_CHARS} characters",
        )


def number(value: Any) -> float:
    """A finite float from a decoded JSON value; raises InvalidKey."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidKey("not-a-number", f"a value is {_type_name(value)}, not a number")
    try:
        as_float = float(value)
    except OverflowError:
        as_float = math.inf
    if not math.isfinite(as_float):
        raise InvalidKey("not-finite", "NaN and infinity are no samples: leave the metric out of the snapshot instead")
    return as_float


def instant(value: Any, bounds: Bounds) -> float:
    """Unix seconds from a number or RFC 3339 text within bounds; raises InvalidKey."""
    ts_s = bounds.now_s if value is None else _unix_seconds(value)
    if ts_s > bounds.newest_s:
        ahead = f"{ts_s - bounds.now_s:.0f} s ahead of the server's clock"
        hint = "; ts counts seconds, not milliseconds" if ts_s > 1e11 else ""
        raise InvalidKey(
            "ts-future", f"ts is {ahead}{hint}; at most {bounds.newest_s - bounds.now_s:.0f} s are allowed"
        )
    if ts_s < bounds.oldest_s:
        days = (bounds.now_s - bounds.oldest_s) / 86_400
        raise InvalidKey("ts-past", f"ts is older than the longest retention ({days:.0f} days), it would not be kept")
    return ts_s


def loose(body: bytes, is_ndjson: bool, error: msgspec.DecodeError | None = None) -> list[Any]:
    """Decode without types, letting NaN and Infinity through, so that each sample can be judged by itself.

    Raises MalformedBody with the byte offset of what is no JSON at all.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as bad:
        raise MalformedBody("the body is not UTF-8", offset=bad.start) from bad
    try:
        found = list(_documents(text)) if is_ndjson or text.lstrip()[:1] != "[" else json.loads(text)
    except json.JSONDecodeError as bad:
        offset = len(text[: bad.pos].encode())
        raise MalformedBody(f"the body is not JSON: {bad.msg} at byte {offset}", offset=offset) from bad
    except (RecursionError, ValueError) as bad:
        raise MalformedBody(f"the body is not JSON: {error or 'it nests too deeply or a number is too long'}") from bad
    return list(found)


def _documents(text: str) -> Iterator[Any]:
    """JSON documents one after another, white space between them."""
    decoder = json.JSONDecoder()
    at = _skip_space(text, 0)
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        at = _skip_space(text, at)


_SPACE = re.compile(r"\s*")


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _colons_are(wanted: int, body: bytes) -> bool:
    """Whether a body has just the pairs that were decoded: a twin key or an unknown field would be one more.

    Each pair that was decoded has a colon of its own, so nothing but them is there when the count is equal; texts that
    hold colons take the second, slower count.
    """
    return body.count(b":") == wanted or body.count(b'":') == wanted


def _as_array(body: bytes, snapshots: int) -> bytes | None:
    """The body's bytes as one JSON array on one line, or None when its lines are not one snapshot each."""
    body = body.strip()
    if body[:1] == b"[":
        return body.replace(b"\n", b" ") if b"\n" in body else body
    # One snapshot a line and no line feed elsewhere (JSON's strings hold none): each is a comma.
    return b"[" + body.replace(b"\n", b",") + b"]" if body.count(b"\n") == snapshots - 1 else None


def _snapshot_labels(labels: Any) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise InvalidKey("labels-type", '"labels" must be an object of names and texts')
    series_key.check_labels(labels)
    return labels


def _unix_seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidKey("ts-type", f'"ts" is {_type_name(value)}; send Unix seconds or RFC 3339 text, or leave it out')
    if isinstance(value, str):
        return _rfc3339_seconds(value)
    if not abs(value) < 1e308:
        raise InvalidKey("ts-type", '"ts" is not a finite number of seconds')
    return float(value)


def _rfc3339_seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidKey("ts-type", f"ts {shorten(text)} is not RFC 3339 with an offset, like 2026-01-31T12:00:00Z")
    return moment.timestamp()


def _type_name(value: Any) -> str:
    names = {bool: "true or false", str: "a text", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
