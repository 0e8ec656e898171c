"""A simulated fleet before a platform that is disturbed on purpose, and the verdict of the event log."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from bench.agents import Fleet, Pings, Plan
from bench.registry import Move, Registry
from schema.heartbeats import Contact
from tests.e2e.platforms import Platform

SLACK_S = 20
"""Sweeps, a dead scheduler's lease, back-offs, and a busy machine."""
HARD_TO_HEAR_S = 1.0
"""A ping that is under way when its agent dies may still be heard so much later."""


@dataclass(frozen=True)
class Pace:
    """The limits, shortened so that a test sees them pass; seconds."""

    interval_s: int = 2
    late_pings: int = 4
    offline_pings: int = 8
    deregister_s: int = 40
    grace_s: int = 12

    @property
    def late_s(self) -> int:
        return self.interval_s * self.late_pings

    @property
    def found_within_s(self) -> int:
        """So long after the death, or after the last disturbance, a dead node is late."""
        return self.late_s + self.grace_s + SLACK_S

    def settings(self) -> Mapping[str, str]:
        return {
            "METRIST_PING_INTERVAL_S": str(self.interval_s),
            "METRIST_LATE_AFTER_PINGS": str(self.late_pings),
            "METRIST_OFFLINE_AFTER_PINGS": str(self.offline_pings),
            "METRIST_DEREGISTER_AFTER_S": str(self.deregister_s),
            "METRIST_GRACE_S": str(self.grace_s),
        }

    def plan(self, platform: Platform) -> Plan:
        """Agents that hold their pings, and are back within the grace."""
        address = urlsplit(platform.url)
        assert address.hostname and address.port
        return Plan(
            address.hostname,
            address.port,
            platform.key,
            interval_s=self.interval_s,
            waits=True,
            timeout_s=5,
            back_off_max_s=self.grace_s * 0.75,
        )


@dataclass
class Trial:
    """A fleet, its platform, and when each disturbance began and ended (Unix s)."""

    platform: Platform
    fleet: Fleet
    pace: Pace
    disturbances: list[tuple[float, float]] = field(default_factory=list)

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        began_s = time.time()
        yield
        self.disturbances.append((began_s, time.time()))

    def until_heard(self, within_s: float = 30) -> None:
        """Wait until every live agent was heard from now on."""
        before = {name: contact.last for name, contact in self._contacts().items()}
        self.platform.wait_until(lambda: self._all_heard_after(before), within_s)

    def until_found(self) -> None:
        """Wait until every dead agent is at least offline; not longer than that may take."""
        longest_s = self.pace.found_within_s + self.pace.interval_s * self.pace.offline_pings
        self.platform.wait_until(self._all_found, longest_s)

    def judge(self) -> None:
        """No live node ever moved; every dead one did, in time, and in order; whoever may still move has a deadline."""
        with Registry(self.platform.data_dir) as registry:
            moves, states, with_deadline = registry.moves(), registry.states(), registry.with_deadline()
        live = {agent.name for agent in self.fleet.live}
        assert [move for move in moves if move.node in live] == []
        assert {name for name in live if states[name] != "online"} == set()
        assert {name for name, state in states.items() if state != "deregistered"} - with_deadline == set()
        by_node: defaultdict[str, list[Move]] = defaultdict(list)
        for move in moves:
            by_node[move.node].append(move)
        for agent in self.fleet.dead:
            self._judge_dead(agent, by_node[agent.name])

    def _judge_dead(self, agent: Pings, moves: list[Move]) -> None:
        assert moves, f"{agent.name} died and nobody noticed"
        order = ["late", "offline", "deregistered"]
        reached = [order.index(move.state) for move in moves]
        assert reached == sorted(set(reached)), moves
        assert reached[-1] >= 1, moves
        assert moves[0].at_s >= agent.answered_at + self.pace.late_s, (agent.answered_at, moves)
        assert moves[0].at_s <= self._due_s(agent.died_at + HARD_TO_HEAR_S), (agent.died_at, moves, self.disturbances)

    def _due_s(self, died_at: float) -> float:
        """When a death must have been found: in the first time of quiet that is long enough."""
        begins = [began for began, _ in self.disturbances[1:]] + [float("inf")]
        ends = [0.0] + [ended for _, ended in self.disturbances]
        quiet = zip(ends, [self.disturbances[0][0] if self.disturbances else float("inf"), *begins], strict=False)
        for from_s, to_s in quiet:
            due_s = max(died_at, from_s) + self.pace.found_within_s
            if due_s <= to_s:
                return due_s
        raise AssertionError("the last quiet never ends")

    def _contacts(self) -> Mapping[str, Contact]:
        with Registry(self.platform.data_dir) as registry:
            return registry.contacts()

    def _all_heard_after(self, before: Mapping[str, int]) -> bool:
        """By the platform's clock, whatever that shows."""
        contacts = self._contacts()
        names = [agent.name for agent in self.fleet.live]
        return all(name in contacts and contacts[name].last != before.get(name) for name in names)

    def _all_found(self) -> bool:
        with Registry(self.platform.data_dir) as registry:
            states = registry.states()
        return all(states[agent.name] in ("offline", "deregistered") for agent in self.fleet.dead)


@contextmanager
def trial(platform: Platform, pace: Pace, size: int, *, snapshots: bool = False) -> Iterator[Trial]:
    """A fleet that pings, every node of it registered."""
    every_s = pace.interval_s if snapshots else 0
    fleet = Fleet(replace(pace.plan(platform), snapshot_every_s=every_s), size).start()
    try:
        made = Trial(platform, fleet, pace)
        made.until_heard(60)
        yield made
    finally:
        fleet.stop()
