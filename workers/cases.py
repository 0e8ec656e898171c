"""One node to judge: what both stores know of it, brought together, and the judgement."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain import liveness
from domain.liveness import CLOCK_SLACK_MS, Goodbye, Hearing, Limits, Verdict
from domain.nodes import CLASH_SHOWN, NodeState
from domain.settings import Settings
from schema.heartbeats import UNKNOWN_INTERVAL_MS, Contact, Farewell, Judged
from schema.nodes import NodeRow

_CLASH_SHOWN_MS = int(CLASH_SHOWN.total_seconds() * 1000)
AWAY = "away"
"""The reason of a goodbye that only the control DB remembers."""


@dataclass(frozen=True, slots=True)
class Case:
    """One node as judged.

    contact     None when Redis has no record of it
    last_ms     the contact it was judged by, which may be a presumed one
    farewell    the goodbye that came with it; of a node that is away only in the control DB it tells no reason
    silence_ms  what it kept silent without having announced it; negative while it need not be heard yet
    turned_ms   when two machines last took turns under its name; None when that is over, or never was
    """

    node: NodeRow
    contact: Contact | None
    interval_ms: int
    last_ms: int
    is_presumed: bool
    farewell: Farewell | None
    silence_ms: int
    verdict: Verdict
    turned_ms: int | None = None

    @property
    def has_moved(self) -> bool:
        return self.verdict.state != self.node.state

    @property
    def is_news(self) -> bool:
        """There is something to record."""
        return self.has_moved or self.leaves or self.is_back or self.clash_begins or self.clash_ends

    @property
    def due_ms(self) -> int | None:
        """When to look again; None forgets the node."""
        if self.verdict.due_ms is None or self.turned_ms is None:
            return self.verdict.due_ms
        return min(self.verdict.due_ms, self.turned_ms + _CLASH_SHOWN_MS)

    @property
    def clash_begins(self) -> bool:
        return self.turned_ms is not None and self.node.clash_since is None

    @property
    def clash_ends(self) -> bool:
        return self.turned_ms is None and self.node.clash_since is not None

    @property
    def instances(self) -> tuple[str, str]:
        """Of the two machines that clash."""
        return (self.contact.instance, self.contact.other) if self.contact else ("", "")

    @property
    def is_astray(self) -> bool:
        """Redis has no record, or one of another state, or one whose contact cannot be or is not the last one."""
        contact = self.contact
        if contact is None:
            return True
        return contact.state not in ("", self.node.state) or contact.last != self.last_ms

    @property
    def leaves(self) -> bool:
        """It said goodbye for a while, and that is not recorded yet."""
        if self.farewell is None or not self.farewell.announced_ms or self.is_presumed:
            return False
        return not _knows_of(self.node, self.last_ms)

    @property
    def is_back(self) -> bool:
        """It was away, and was heard since."""
        has_gone = self.node.away_since is not None and self.farewell is None and not self.is_presumed
        return has_gone and not self.has_moved and self.verdict.state == NodeState.ONLINE

    @property
    def cause(self) -> str:
        """Why it moved, for its history."""
        if self.verdict.state == NodeState.ONLINE:
            return "contact"
        if self.farewell is None:
            return f"silent for {self.silence_ms // 1000} s"
        if not self.farewell.announced_ms:
            return f"said goodbye: {self.farewell.reason}"
        return f"silent for {self.silence_ms // 1000} s after it meant to be back"

    @property
    def left_at(self) -> datetime:
        """When it said goodbye, by our clock."""
        return datetime.fromtimestamp(self.last_ms / 1000, UTC)

    @property
    def away_until(self) -> datetime:
        return self.left_at + timedelta(milliseconds=self.farewell.announced_ms if self.farewell else 0)

    @property
    def agent_clock(self) -> datetime | None:
        """What the agent's clock showed at its last contact, as far as it told."""
        if self.contact is None or self.contact.skew is None:
            return None
        return datetime.fromtimestamp((self.contact.last + self.contact.skew) / 1000, UTC)

    def settled(self, state: NodeState, due_ms: int | None) -> Judged:
        """To be written to Redis."""
        return Judged(
            self.node.name,
            self.contact.last if self.contact else None,
            state.value,
            due_ms,
            self.last_ms,
            self.interval_ms,
            self.node.id.hex,
            self.is_presumed,
            self.farewell or Farewell(""),
            self.turned_ms is not None,
        )


def judge(
    node: NodeRow,
    contact: Contact | None,
    settings: Settings,
    deregister_after_s: int | None,
    heard: Hearing,
    now_ms: int,
) -> Case:
    """Judge one node; `deregister_after_s` is its account's own limit, or None for the settings'."""
    interval_ms = _interval_ms(node, contact, settings)
    limits = liveness.limits(
        interval_ms,
        settings.late_after_pings,
        settings.offline_after_pings,
        settings.deregister_after_s if deregister_after_s is None else deregister_after_s,
        settings.grace_s,
        is_ephemeral=node.is_ephemeral,
    )
    last_ms, is_presumed, farewell = _last_heard(node, contact, limits, now_ms)
    goodbye = Goodbye(farewell.announced_ms or None) if farewell else None
    silence_ms = liveness.silence_ms(last_ms, now_ms, heard.outages) - (farewell.announced_ms if farewell else 0)
    verdict = liveness.judge(node.state, last_ms, now_ms, limits, heard, goodbye)
    turned_ms = None if verdict.state == NodeState.DEREGISTERED else _turned_ms(node, contact, heard, now_ms)
    return Case(node, contact, interval_ms, last_ms, is_presumed, farewell, silence_ms, verdict, turned_ms)


def _interval_ms(node: NodeRow, contact: Contact | None, settings: Settings) -> int:
    """How often it is expected: as Redis says, else as was recorded, else as seldom as a node may come untold."""
    asked_ms = settings.ping_interval_s * 1000
    if contact is not None and contact.interval:
        return contact.interval
    return max(asked_ms, UNKNOWN_INTERVAL_MS if node.interval_s is None else node.interval_s * 1000)


def _last_heard(
    node: NodeRow, contact: Contact | None, limits: Limits, now_ms: int
) -> tuple[int, bool, Farewell | None]:
    """The last contact (Unix ms), whether it is only presumed, and the goodbye it was, if it was one.

    Redis may have lost what is recorded since, in part or altogether; a goodbye is in the control DB, too.
    """
    is_there = contact is not None and contact.last <= now_ms + CLOCK_SLACK_MS
    if contact is not None and is_there and (contact.bye or not _knows_of(node, contact.last)):
        return contact.last, contact.presumed, Farewell(contact.bye, contact.away) if contact.bye else None
    if contact is not None and not is_there and contact.bye:  # our clock was set back: how much is over nobody knows
        last_ms = liveness.credible_last_ms(None, node.state, now_ms, limits)
        return last_ms, True, Farewell(contact.bye, contact.away)
    said_ms = _ms(node.away_since) if node.away_since else now_ms + CLOCK_SLACK_MS + 1
    if node.away_until is None or said_ms > now_ms + CLOCK_SLACK_MS:
        return liveness.credible_last_ms(None, node.state, now_ms, limits), True, None
    announced_ms = _ms(node.away_until) - said_ms
    if is_there:
        return said_ms, False, Farewell(AWAY, announced_ms)
    last_ms = liveness.presumed_last_ms(said_ms, announced_ms, node.state, now_ms, limits)
    return last_ms, last_ms != said_ms, Farewell(AWAY, announced_ms)


def _turned_ms(node: NodeRow, contact: Contact | None, heard: Hearing, now_ms: int) -> int | None:
    """When two machines last took turns, as far as it is not over.

    Redis may have lost that, and while we did not hear we saw no turns: a clash that is recorded is not over before we
    have listened for so long.
    """
    turned_ms = contact.clash if contact and contact.clash <= now_ms + CLOCK_SLACK_MS else 0
    if node.clash_since is not None:
        turned_ms = max(turned_ms, min(_ms(node.clash_since), now_ms), min(heard.since_ms, now_ms))
    return turned_ms if turned_ms and now_ms - turned_ms < _CLASH_SHOWN_MS else None


def _knows_of(node: NodeRow, last_ms: int) -> bool:
    """Whether the goodbye that is recorded came with this contact or after it."""
    return node.away_since is not None and last_ms <= _ms(node.away_since)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
