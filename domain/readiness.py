"""Is the platform well? What each part means, and from when on it is not.

| part       | is well while                                                                     | else
|------------|-----------------------------------------------------------------------------------|-----------
| control, clickhouse, redis | it answers a smallest question within 3 s                         | not ready
| spool      | its oldest sample waits for ClickHouse less than SPOOL_OLDEST_S                    | degraded
| disk       | the spool's and ClickHouse's disk have the room they need (domain/room.py)         | degraded
| queue      | the first job of each queue waits less than QUEUE_OLDEST_S                         | degraded
| background | worker and scheduler have shown a sign of life within 15 s                         | degraded
| clock      | our clock and those of the stores are less than CLOCK_APART_S apart                | degraded

*Not ready* answers 503: a request may fail. *Degraded* answers 200: what is asked is answered, but somebody should
look; to take such a process out of service would end the pings and reads that still work.
"""

from typing import Final, Literal

import msgspec

SPOOL_OLDEST_S: Final = 120.0
QUEUE_OLDEST_S: Final = 60.0
CLOCK_APART_S: Final = 2.0
STORES: Final = ("control", "clickhouse", "redis")

Status = Literal["ready", "degraded", "not ready"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part: well or not, why not in words for who can act, and the figures that it was judged by."""

    ok: bool
    reason: str = ""
    facts: dict[str, float] = {}


def status(parts: dict[str, Part]) -> Status:
    """Of the whole."""
    if not all(parts[name].ok for name in STORES):
        return "not ready"
    return "ready" if all(part.ok for part in parts.values()) else "degraded"


def spool(oldest_s: float, pending_bytes: int, segments: int) -> Part:
    """oldest_s is for how long its oldest sample has waited; 0 when it is empty."""
    facts = {"oldest_s": round(oldest_s, 1), "limit_s": SPOOL_OLDEST_S, "bytes": pending_bytes, "segments": segments}
    if oldest_s < SPOOL_OLDEST_S:
        return Part(True, facts=facts)
    return Part(False, "ClickHouse has not taken what was acknowledged: it is away, or does not keep up", facts)


def queue(oldest_s: dict[str, float], depth: dict[str, int]) -> Part:
    """By the name of each queue: for how long its first job has waited, and how many wait."""
    facts = {f"{name}_oldest_s": round(age_s, 1) for name, age_s in oldest_s.items()}
    facts |= {f"{name}_jobs": float(jobs) for name, jobs in depth.items()} | {"limit_s": QUEUE_OLDEST_S}
    slow = [name for name, age_s in oldest_s.items() if age_s >= QUEUE_OLDEST_S]
    if not slow:
        return Part(True, facts=facts)
    return Part(False, f"jobs wait too long in {', '.join(slow)}: run more workers, or look at their log", facts)


def background(alive: dict[str, bool]) -> Part:
    """Which processes have shown a sign of life."""
    dead = [name for name, is_alive in alive.items() if not is_alive]
    facts = {name: float(is_alive) for name, is_alive in alive.items()}
    return Part(False, f"no sign of life of {' and '.join(dead)}: start it", facts) if dead else Part(True, facts=facts)


def clock(apart_s: dict[str, float]) -> Part:
    """By the name of each store: how far its clock is ahead of ours, half of the way there taken off."""
    facts = {f"{name}_ahead_s": round(ahead_s, 3) for name, ahead_s in apart_s.items()} | {"limit_s": CLOCK_APART_S}
    wrong = [name for name, ahead_s in apart_s.items() if abs(ahead_s) >= CLOCK_APART_S]
    if not wrong:
        return Part(True, facts=facts)
    return Part(False, f"our clock and that of {', '.join(wrong)} disagree: run NTP on both machines", facts)
