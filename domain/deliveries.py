"""What is owed to whom when a status changes, and when it is tried again.

A transition owes each channel that its routes name one delivery. Of what is owed to a channel about one status only
the newest matters: it replaces what was not sent yet, so nobody is told of a fire that is out, what is told keeps its
order, and no more can wait than there are channels and statuses. Recoveries go to whoever was told, whatever routes
say by then. Everything here is pure; `schema/deliveries.py` brings what it needs and keeps what comes of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from domain.silences import Silence, holding, matchers
from domain.windows import Weekly

LASTS: Final = timedelta(hours=24)
"""From when a delivery is to be sent; what could not be sent by then is dead."""
PAUSES_S: Final = (5, 30, 120, 300, 900, 1_800, 3_600, 7_200, 10_800)
"""After each failure, before the next try; the last is repeated."""
JITTER: Final = 0.2
"""A pause is up to so much longer or shorter, as a part of it."""
FLAPS: Final = 6
FLAP_WINDOW: Final = timedelta(minutes=30)
FLAP_PAUSE: Final = timedelta(minutes=10)
"""A status that was told of more than FLAPS times within FLAP_WINDOW is told of every FLAP_PAUSE at most."""
CRITICAL: Final = "critical"
"""The severity that quiet hours let through."""
SILENCED: Final = "silenced"
QUIET: Final = "quiet hours"


class Kind(StrEnum):
    """What a delivery is for."""

    FIRING = "firing"
    RESOLVED = "resolved"
    REPEAT = "repeat"
    TEST = "test"
    VERIFY = "verify"
    DISABLED = "disabled"


class State(StrEnum):
    """What became of a delivery."""

    OWED = "owed"
    SENT = "sent"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Notice:
    """What there is to tell of one status: all that a message needs, whatever is changed or deleted meanwhile.

    stream    of the status: `status/<condition>/<SHA-256 of the group's labels>`
    version   of that stream, after the transition
    state     what it is now: firing, no_data, error; ok when it is over
    summary   one line for people
    began_at  when the incident began; with the stream, what makes an incident one
    at        when the state was entered, by the readings
    graph     what to draw: a query of domain.query as JSON and a threshold; {} draws nothing
    changes   how often it changed lately, told when it flaps
    """

    stream: str
    version: int
    kind: Kind
    condition_id: str
    condition: str
    labels: Mapping[str, str]
    severity: str
    state: str
    summary: str
    began_at: datetime
    at: datetime
    value: float | None = None
    runbook: str = ""
    graph: Mapping[str, Any] = field(default_factory=dict)
    recording: str = ""
    is_meanwhile: bool = False
    changes: int = 0

    @property
    def about(self) -> dict[str, str]:
        """The labels that routes and silences look at."""
        return {**self.labels, "condition": self.condition, "severity": self.severity, "state": self.state}

    @property
    def thread(self) -> str:
        """The same for all that is told of one incident."""
        return hashlib.sha256(f"{self.stream} {self.began_at.isoformat()}".encode()).hexdigest()

    @property
    def lasted(self) -> timedelta:
        """From the beginning of the incident till now, or till its end."""
        return max(timedelta(), self.at - self.began_at)


@dataclass(frozen=True, slots=True)
class Channel:
    """As routing sees a channel; `quiet` are hours in which it is told only what is critical."""

    id: UUID
    name: str
    is_enabled: bool = True
    is_verified: bool = True
    quiet: Weekly | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Where notices go whose labels match; the first that matches decides, unless it says to ask further."""

    id: UUID | None
    match: tuple[str, ...]
    channel_ids: tuple[UUID, ...]
    group_by: tuple[str, ...] = ("condition",)
    group_wait_s: int = 0
    repeat_s: int = 14_400
    continues: bool = False

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether it is for what has these labels."""
        return all(matcher.holds(labels) for matcher in matchers(self.match))


@dataclass(frozen=True, slots=True)
class Past:
    """What a channel knows of an incident.

    was_told     that it fires
    is_owed      something of it waits to be sent
    is_held      … and was never tried, because of a silence or quiet hours
    route        how what it knows came to it; what follows takes the same way, with the same group
    changes      how often the status was told of, or was about to be, within FLAP_WINDOW
    last_at      when something of the status was last sent
    """

    was_told: bool = False
    is_owed: bool = False
    is_held: bool = False
    route: Mapping[str, Any] = field(default_factory=dict)
    group_sha256: str = ""
    changes: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery to be kept: owed from `due_at` on, or withheld for a reason."""

    channel_id: UUID | None
    state: State
    due_at: datetime
    reason: str = ""
    route: Mapping[str, Any] = field(default_factory=dict)
    group_sha256: str = ""
    is_meanwhile: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """All that decides where an account's notices go."""

    routes: Sequence[Route]
    channels: Mapping[UUID, Channel]
    silences: Sequence[Silence]


def default_route(channels: Mapping[UUID, Channel]) -> Route:
    """Where notices go while an account has made no routes: to all that it has, a message a condition."""
    return Route(None, (), tuple(channels), group_wait_s=1)


def owed(notice: Notice, desk: Desk, past: Mapping[UUID, Past], now: datetime) -> list[Owed]:
    """What a notice owes; at least one, so that whoever asks why nothing came finds the answer.

    past  by channel, what it knows of this incident; a channel that is missing knows nothing
    """
    if notice.kind == Kind.RESOLVED:
        return _of_recovery(notice, desk, past, now)
    targets = _targets(notice, desk)
    if not targets:
        return [_withheld(None, "no channel to tell" if not desk.channels else "no route takes it", now)]
    return [_of_fire(notice, route, channel, desk, past.get(channel.id, Past()), now) for route, channel in targets]


def repeated(notice: Notice, channel: Channel, known: Past, desk: Desk, now: datetime) -> Owed:
    """What is owed to a channel that was told of it long ago, the way that was told."""
    owes = Owed(channel.id, State.OWED, now, "", known.route, known.group_sha256)
    return _placed(notice, channel, desk, owes, now)


def is_held(reason: str) -> bool:
    """Whether a delivery waits for a silence or for quiet hours to end, by its reason."""
    return reason.startswith((SILENCED, QUIET))


def next_attempt_at(
    due_at: datetime, attempts: int, now: datetime, jitter: float, retry_after: timedelta | None = None
) -> datetime | None:
    """When to try again after `attempts` failures; None when its time is over.

    jitter       0 to 1, drawn by the caller
    retry_after  what the receiver asked for: never sooner than that, and never later than one last try at the end
    """
    ends_at = due_at + LASTS
    if now >= ends_at:
        return None
    pause_s = PAUSES_S[min(max(attempts, 1), len(PAUSES_S)) - 1] * (1 - JITTER + 2 * JITTER * jitter)
    pause = max(timedelta(seconds=pause_s), retry_after or timedelta())
    return min(now + pause, ends_at)


def hold_of(notice: Notice, desk: Desk, channel: Channel, now: datetime) -> tuple[datetime, str] | None:
    """Till when, and why, a channel is not to be told this now; None when it may be."""
    held: list[tuple[datetime, str]] = []
    found = holding(desk.silences, notice.about, now) if notice.kind != Kind.RESOLVED else None
    if found:
        silence, end = found
        held.append((end, f"{SILENCED}{f': {silence.note}' if silence.note else ''}"))
    quiet = channel.quiet.until(now) if channel.quiet and notice.severity != CRITICAL else None
    if quiet:
        held.append((quiet, f"{QUIET} of {channel.name}"))
    return max(held, default=None)


def group_of(notice: Notice, route: Route) -> dict[str, str]:
    """The values that make the group; a label that the notice lacks is the empty text."""
    return {label: notice.about.get(label, "") for label in route.group_by}


def _targets(notice: Notice, desk: Desk) -> list[tuple[Route, Channel]]:
    """Each channel once, by the first route that leads to it."""
    found: dict[UUID, Route] = {}
    for route in desk.routes or [default_route(desk.channels)]:
        if route.takes(notice.about):
            for channel_id in route.channel_ids:
                found.setdefault(channel_id, route)
            if not route.continues:
                break
    return [(route, desk.channels[channel_id]) for channel_id, route in found.items() if channel_id in desk.channels]


def _of_fire(notice: Notice, route: Route, channel: Channel, desk: Desk, past: Past, now: datetime) -> Owed:
    group = group_of(notice, route)
    route_id = str(route.id) if route.id else None
    way = {"id": route_id, "repeat_s": route.repeat_s, "group": group}
    sha256 = _group_sha256(channel.id, route_id, group)
    due_at, reason = _damped(past, now + timedelta(seconds=route.group_wait_s), now)
    return _placed(notice, channel, desk, Owed(channel.id, State.OWED, due_at, reason, way, sha256), now)


def _of_recovery(notice: Notice, desk: Desk, past: Mapping[UUID, Past], now: datetime) -> list[Owed]:
    found = []
    for channel_id, known in past.items():
        channel = desk.channels.get(channel_id)
        if channel is not None and (known.was_told or known.is_owed):
            found.append(_recovered(notice, channel, desk, known, now))
    return found or [_withheld(None, "nobody was told that it fired", now)]


def _recovered(notice: Notice, channel: Channel, desk: Desk, known: Past, now: datetime) -> Owed:
    if not known.was_told and known.is_held:
        return _withheld(channel.id, "it was over before the silence or the quiet hours were", now)
    due_at, reason = _damped(known, now, now)
    meanwhile = not known.was_told
    owes = Owed(channel.id, State.OWED, due_at, reason, known.route, known.group_sha256, meanwhile)
    return _placed(notice, channel, desk, owes, now)


def _placed(notice: Notice, channel: Channel, desk: Desk, owes: Owed, now: datetime) -> Owed:
    """Withheld from a channel that is off, put off till its quiet hours or a silence are over."""
    off = _off(channel)
    if off:
        return _withheld(channel.id, off, now)
    held = hold_of(notice, desk, channel, now)
    return replace(owes, due_at=held[0], reason=held[1]) if held and held[0] > owes.due_at else owes


def _damped(past: Past, due_at: datetime, now: datetime) -> tuple[datetime, str]:
    """What flaps is told of now and then; whatever it is by then."""
    if past.changes < FLAPS:
        return due_at, ""
    quiet_until = max(past.last_at or now, now - FLAP_PAUSE) + FLAP_PAUSE
    if quiet_until <= due_at:
        return due_at, ""
    minutes = FLAP_WINDOW // timedelta(minutes=1)
    return quiet_until, f"it flaps: {past.changes} changes within {minutes} minutes"


def _off(channel: Channel) -> str:
    if not channel.is_enabled:
        return f"the channel {channel.name} is off"
    return "" if channel.is_verified else f"the address of {channel.name} is not confirmed yet"


def _withheld(channel_id: UUID | None, reason: str, now: datetime) -> Owed:
    return Owed(channel_id, State.WITHHELD, now, reason)


def _group_sha256(channel_id: UUID, route_id: str | None, group: Mapping[str, str]) -> str:
    """One for what may go out together."""
    parts = json.dumps([str(channel_id), route_id, sorted(group.items())])
    return hashlib.sha256(parts.encode()).hexdigest()
