"""The state machine of status conditions: what was known, a reading, and what is known then. Pure.

    ok ──over──▶ pending ──over for hold_s──▶ firing ──clear for keep_firing_s──▶ ok
     ▲              │                            │
     └──not over────┘         silence: no_data, ok or firing, as the policy says; a failure: error

One `Status` for each group of a condition; a group that is not known is ok. Readings come at instants that ascend.
`told` is the state that notices have told of: it outlives a silence, so that an incident is told once and ended once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """What is known of a group."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"
    ERROR = "error"


class Severity(StrEnum):
    """How much it matters, the least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class NoData(StrEnum):
    """What silence means.

    SHOW    that we know nothing: shown, and told to nobody
    NOTIFY  the same, and told
    OK      nothing reported is nothing wrong
    FIRING  who must report and does not is as bad as over the threshold
    """

    SHOW = "show"
    NOTIFY = "notify"
    OK = "ok"
    FIRING = "firing"


class News(StrEnum):
    """What a transition gives reason to tell; whether anyone hears it is for routes and silences to say."""

    FIRING = "firing"
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Policy:
    """How readings become states.

    hold_s         so long it must be over before it fires; 0: at once
    keep_firing_s  so long it must be clear before it is ok again
    """

    hold_s: int = 0
    keep_firing_s: int = 0
    no_data: NoData = NoData.SHOW


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found at one instant.

    is_over    over the threshold, whichever side that is
    is_clear   far enough from it that what fires may end; never together with is_over, perhaps neither
    is_silent  there has been nothing for too long; over and clear say nothing then
    failure    why it could not be judged
    """

    value: float | None = None
    is_over: bool = False
    is_clear: bool = True
    severity: Severity = Severity.WARNING
    message: str = ""
    is_silent: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one group.

    since          the instant of the reading that made it so
    pending_since  since when it is over, while it is pending
    quiet_since    since when it is clear, while it fires
    told           the state that notices told of last; None after the end of that was told, or before any was
    told_since     since when this incident lasts, as notices told
    """

    state: State
    since: datetime
    severity: Severity = Severity.WARNING
    value: float | None = None
    message: str = ""
    reading_at: datetime | None = None
    pending_since: datetime | None = None
    quiet_since: datetime | None = None
    told: State | None = None
    told_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, or of the severity of what fires.

    at       the instant that was judged
    news     what there is to tell; None for what is only shown
    lasted   how long the incident lasted that ends with it
    """

    before: State
    after: State
    at: datetime
    value: float | None
    message: str
    severity: Severity
    news: News | None
    lasted: timedelta | None = None


_URGENCY = (State.OK, State.PENDING, State.NO_DATA, State.ERROR, State.FIRING)
_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_NEWS_OF = {State.FIRING: News.FIRING, State.NO_DATA: News.NO_DATA, State.ERROR: News.ERROR}


def first(at: datetime) -> Status:
    """A group that nothing is known of."""
    return Status(State.OK, at)


def advance(status: Status, policy: Policy, reading: Reading, now: datetime) -> tuple[Status, Transition | None]:
    """The status after a reading of the instant `now`, and the transition it made."""
    seen = _seen(status, reading, now)
    state, pending_since, quiet_since = _next(seen, policy, reading, now)
    moved = replace(seen, state=state, pending_since=pending_since, quiet_since=quiet_since)
    changes_severity = state == status.state == State.FIRING and seen.severity != status.severity
    if state == status.state and not changes_severity:
        return moved, None
    moved = _tell(replace(moved, since=now if state != status.state else status.since), policy, now)
    news = _news(status, moved)
    lasted = now - status.told_since if news == News.RESOLVED and status.told_since else None
    return moved, Transition(status.state, state, now, moved.value, moved.message, moved.severity, news, lasted)


def end(status: Status, why: str, now: datetime) -> Transition | None:
    """What is to be told of a group that is judged no longer; None when nobody was told of it."""
    if status.told is None:
        return None
    lasted = now - status.told_since if status.told_since else None
    return Transition(status.state, State.OK, now, None, why, status.severity, News.RESOLVED, lasted)


def run(
    status: Status, policy: Policy, readings: Iterable[tuple[datetime, Reading]]
) -> tuple[Status, list[Transition]]:
    """Advance over many readings, the oldest first."""
    made = []
    for at, reading in readings:
        status, transition = advance(status, policy, reading, at)
        if transition:
            made.append(transition)
    return status, made


def worst_state(states: Iterable[State]) -> State:
    """What matters most of some states; ok of none."""
    return max(states, key=_URGENCY.index, default=State.OK)


def worst(severities: Iterable[Severity]) -> Severity | None:
    """The gravest of some; None of none."""
    return max(severities, key=_RANK.__getitem__, default=None)


def _seen(status: Status, reading: Reading, now: datetime) -> Status:
    """The status with what the reading says, whatever follows from it."""
    if reading.failure:
        return replace(status, message=reading.failure)
    if reading.is_silent:
        return replace(status, value=None, message=reading.message)
    told = replace(status, value=reading.value, message=reading.message, reading_at=now)
    return replace(told, severity=reading.severity) if reading.is_over or status.state != State.FIRING else told


def _next(
    status: Status, policy: Policy, reading: Reading, now: datetime
) -> tuple[State, datetime | None, datetime | None]:
    """The state, since when it is over while it is pending, and since when it is clear while it fires."""
    if reading.failure:
        return State.ERROR, None, None
    is_over, is_clear = reading.is_over, reading.is_clear
    if reading.is_silent:
        match policy.no_data:
            case NoData.SHOW | NoData.NOTIFY:
                return State.NO_DATA, None, None
            case NoData.OK:
                is_over, is_clear = False, True
            case NoData.FIRING:
                is_over, is_clear = True, False
    if status.state == State.FIRING:
        return _firing(status, policy, is_clear, now)
    if not is_over:
        return State.OK, None, None
    since = status.pending_since if status.state == State.PENDING and status.pending_since else now
    if now - since >= timedelta(seconds=policy.hold_s):
        return State.FIRING, None, None
    return State.PENDING, since, None


def _firing(
    status: Status, policy: Policy, is_clear: bool, now: datetime
) -> tuple[State, datetime | None, datetime | None]:
    if not is_clear:
        return State.FIRING, None, None
    since = status.quiet_since or now
    if now - since >= timedelta(seconds=policy.keep_firing_s):
        return State.OK, None, None
    return State.FIRING, None, since


def _tell(status: Status, policy: Policy, now: datetime) -> Status:
    """What notices have told of once this state is told, as far as it is."""
    match status.state:
        case State.OK:
            return replace(status, told=None, told_since=None)
        case State.PENDING:
            return status
        case State.NO_DATA | State.ERROR if policy.no_data != NoData.NOTIFY:
            return status
    return replace(status, told=status.state, told_since=status.told_since or now)


def _news(before: Status, after: Status) -> News | None:
    if after.told is None:
        return News.RESOLVED if before.told is not None else None
    if after.told != before.told:
        return _NEWS_OF[after.told]
    is_graver = after.state == before.state == State.FIRING and _RANK[after.severity] > _RANK[before.severity]
    return News.FIRING if is_graver else None
