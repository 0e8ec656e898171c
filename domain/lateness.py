"""Samples that came long after they were taken, because an agent kept what it could not send: pure.

What a graph shows of them now is not what was there to be seen then: a condition that found no data was right.
"""

from collections.abc import Iterable, Sequence

import msgspec

LATE_S = 120.0
"""Younger samples are in time: agents send batches, and conditions wait for them."""
APART_S = 120.0
"""Stretches of one node's samples this near to each other are of one delay."""


class Late(msgspec.Struct, frozen=True):
    """Samples of `node` from [from_s, to_s] that came at `at_s`, our clock; Unix seconds."""

    node: str
    from_s: float
    to_s: float
    at_s: float


def late(node: str, oldest_s: float, newest_s: float, now_s: float) -> Late | None:
    """What of a batch of one node's samples came late; None when its oldest is in time."""
    if now_s - oldest_s < LATE_S:
        return None
    return Late(node, oldest_s, max(oldest_s, min(newest_s, now_s - LATE_S)), now_s)


def merge(found: Iterable[Late]) -> Sequence[Late]:
    """One for each delay, by node and time: a backlog comes in many batches, and is told once."""
    merged: list[Late] = []
    for one in sorted(found, key=lambda late: (late.node, late.from_s)):
        last = merged[-1] if merged else None
        if last is not None and last.node == one.node and one.from_s <= last.to_s + APART_S:
            merged[-1] = Late(last.node, last.from_s, max(last.to_s, one.to_s), max(last.at_s, one.at_s))
        else:
            merged.append(one)
    return merged
