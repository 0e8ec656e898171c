"""What the stores of a `metrist up` say of its nodes: the judge of every fleet that was simulated."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from domain.events import Event
from domain.ids import AccountId
from schema import accounts, events, heartbeats, keys, nodes
from schema.control.engine import open_control, reading
from schema.heartbeats import Contact

SILENT = ("node_late", "node_offline", "node_deregistered")
_AT_ONCE = 5_000


@dataclass(frozen=True)
class Move:
    """A node became `state` at `at_s` (Unix s), and why."""

    node: str
    state: str
    at_s: float
    cause: str


class Registry:
    """Reads beside the running platform. Use as a context manager."""

    def __init__(self, data: Path) -> None:
        password = json.loads((data / "passwords.json").read_text())["redis"]
        port = json.loads((data / "ports.json").read_text())["redis"]
        self.redis = redis.Redis(port=port, password=password)
        self.control = open_control(f"sqlite:///{data}/control.db")

    def __enter__(self) -> "Registry":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.redis.close()
        self.control.dispose()

    @property
    def account_id(self) -> AccountId:
        """The account that the start has made."""
        return accounts.list_all(self.control)[0].id

    def moves(self) -> list[Move]:
        """Every move for silence that was ever recorded, oldest first."""
        names: dict[str, str] = {}
        moves = []
        for event in self._log():
            if event.type == "node_registered":
                names[event.stream] = event.payload["name"]
            elif event.type in SILENT:
                state = event.type.removeprefix("node_")
                moves.append(Move(names[event.stream], state, event.at.timestamp(), event.payload["cause"]))
        return moves

    def states(self) -> dict[str, str]:
        """Every node's recorded state by name."""
        return {node.name: node.state.value for node in nodes.list_for(self.control, self.account_id)}

    def contacts(self) -> dict[str, Contact]:
        """What Redis knows, by name."""
        return heartbeats.read_contacts_sync(self.redis, self.account_id, list(self.states()))

    def heard_since(self, at_s: float) -> int:
        """How many nodes were heard since then, Unix s."""
        return sum(contact.last >= at_s * 1000 for contact in self.contacts().values())

    def with_deadline(self) -> set[str]:
        """Nodes that the sweep will look at some time."""
        found: Any = self.redis.zrange(keys.deadlines(self.account_id), 0, -1)
        return {name.decode() for name in found}

    def _log(self) -> Iterator[Event]:
        seq = 0
        while True:
            with reading(self.control) as conn:
                found = events.after(conn, seq, _AT_ONCE)
            if not found:
                return
            yield from found
            seq = found[-1].seq or 0
