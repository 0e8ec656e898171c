"""The live view: what viewers want of a node, what its agent sends, and what may honestly be said meanwhile. Pure."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from domain import series_key, snapshots
from domain.errors import InvalidBody, InvalidQuery, MalformedBody
from domain.nodes import NodeState
from domain.series_key import InvalidKey

EVERY_MS = (200, 500, 1_000, 2_000, 5_000)
METRICS_MAX = 64
SNAPSHOTS_MAX = 50
SAMPLES_MAX = 5_000
"""Of one post: an agent sends what came together since its last one."""
STALL_LEAST_MS = 3_000
STALL_POINTS = 3

Short = Annotated[str, msgspec.Meta(max_length=128)]


@dataclass(frozen=True, slots=True)
class Wish:
    """What one viewer looks at: metric names without labels, and how often a point."""

    node: str
    metrics: tuple[str, ...]
    every_ms: int


class Ask(msgspec.Struct):
    """What an agent is asked to stream, for all its viewers together; `id` changes with the rest."""

    id: str
    metrics: list[str]
    every_ms: int


class LiveSnapshot(msgspec.Struct):
    """Values at one instant of the agent's clock, Unix seconds."""

    ts: float
    metrics: dict[str, float]


class LivePost(msgspec.Struct):
    """The body of a post to the live path."""

    node: str
    snapshots: Annotated[list[LiveSnapshot], msgspec.Meta(min_length=1, max_length=SNAPSHOTS_MAX)]
    instance: Short | None = None
    ask: Short = ""


class Stage(StrEnum):
    """Where a live view stands, as its page says it; missing: the agent streams, but has no such metric."""

    WAITING = "waiting"
    LIVE = "live"
    STALLED = "stalled"
    OFFLINE = "offline"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Node:
    """What is known of the node behind a live view; expected_ms is when its next contact is due, None unknown."""

    state: NodeState
    expected_ms: int | None


_decode = msgspec.json.Decoder(LivePost).decode


def wish(node: str, metrics: Sequence[str], every_ms: int) -> Wish:
    """A checked wish; raises InvalidQuery."""
    names = tuple(sorted(set(metrics)))
    if not 1 <= len(names) <= METRICS_MAX:
        raise InvalidQuery(f"Name 1 to {METRICS_MAX} metrics for a live view")
    if every_ms not in EVERY_MS:
        raise InvalidQuery(f"`every_ms` must be one of {', '.join(map(str, EVERY_MS))}")
    try:
        snapshots.check_node(node)
        for name in names:
            series_key.check_metric(name)
    except InvalidKey as error:
        raise InvalidQuery(str(error)) from error
    return Wish(node, names, every_ms)


def parse(body: bytes) -> LivePost:
    """A checked post; raises MalformedBody, InvalidBody. All of it is taken or none: nothing here is stored."""
    try:
        post = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"the live post has the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error
    if sum(len(one.metrics) for one in post.snapshots) > SAMPLES_MAX:
        raise InvalidBody(f"a live post has at most {SAMPLES_MAX} samples")
    try:
        snapshots.check_node(post.node)
        for key in set().union(*(one.metrics for one in post.snapshots)):
            series_key.parse(key)
    except InvalidKey as error:
        raise InvalidBody(str(error)) from error
    if not all(math.isfinite(value) for one in post.snapshots for value in (one.ts, *one.metrics.values())):
        raise InvalidBody("a live post has finite numbers only")
    return post


def chosen_of(found: Sequence[LiveSnapshot], metrics: frozenset[str]) -> list[LiveSnapshot]:
    """Snapshots with only what a viewer has wished for; those that hold nothing of it are left out."""
    cut = [
        LiveSnapshot(one.ts, {key: value for key, value in one.metrics.items() if key.partition("{")[0] in metrics})
        for one in found
    ]
    return [one for one in cut if one.metrics]


def unmeasured(
    wished: Collection[str], seen: Collection[str], first_ms: int | None, every_ms: int, now_ms: int
) -> list[str]:
    """Which of the metrics wished for the agent does not measure itself, as far as that can be said yet.

    seen      those of which points came
    first_ms  when the agent was first heard in this view; None when it has not been
    """
    if first_ms is None or now_ms - first_ms < max(STALL_LEAST_MS, STALL_POINTS * every_ms):
        return []
    return sorted(set(wished) - set(seen))


def stage(node: Node, last_ms: int | None, heard_ms: int | None, every_ms: int, now_ms: int) -> Stage:
    """Where a live view stands.

    last_ms   when the newest point of what is wished for came, by our clock; None before the first
    heard_ms  when the agent's newest post came, whatever it held

    Posts prove that the agent lives, whatever the registry has last recorded.
    """
    fresh_ms = max(STALL_LEAST_MS, STALL_POINTS * every_ms)
    if last_ms is not None and now_ms - last_ms <= fresh_ms:
        return Stage.LIVE
    if heard_ms is not None and now_ms - heard_ms <= fresh_ms:
        return Stage.MISSING
    if node.state in (NodeState.OFFLINE, NodeState.DEREGISTERED):
        return Stage.OFFLINE
    return Stage.WAITING if last_ms is None else Stage.STALLED
