"""A server that hands out monitors, signed by the code that Metrist signs with, and remembers how they ran."""

import base64
import hashlib
import json
import time
from typing import Any
from uuid import UUID, uuid4, uuid5

from domain import bundles
from domain.ids import AccountId
from domain.monitors import read
from tests.agent_server import AgentServer, Answer, problem

ACCOUNT = AccountId(uuid4())


class MonitorServer(AgentServer):
    """Hands out what was published last."""

    def __init__(self) -> None:
        self.private_key = hashlib.sha256(b"ours").digest()
        self.told_key = bundles.public_key(self.private_key)
        self.runs: list[dict[str, Any]] = []
        self.fetches: list[str] = []
        self.entries: list[bundles.Entry] = []
        self.account, self.node = ACCOUNT, "web-1"
        self.issued_at: int | None = None
        self.judge_fetch: Answer | None = None
        super().__init__()

    @property
    def hash(self) -> str:
        return bundles.hash_of(self.entries)

    def publish(self, *monitors: dict[str, Any]) -> None:
        """Monitors as dictionaries: `name`, `script`, and what else is not as usual."""
        self.entries = [entry(each) for each in monitors]

    def signed(self, entries: list[bundles.Entry]) -> Any:
        issued_at = int(time.time()) if self.issued_at is None else self.issued_at
        return json.loads(bundles.signed(self.private_key, self.account, self.node, entries, issued_at))

    def runs_of(self, name: str) -> list[dict[str, Any]]:
        return [run for run in list(self.runs) if run["id"] == str(id_of(name))]

    def answer_get(self, path: str) -> Answer:
        self.fetches.append(path)
        if self.judge_fetch is not None:
            return self.judge_fetch
        if path == "/api/v1/monitors/key":
            told = base64.b64encode(self.told_key).decode()
            return Answer(200, {"public_key": told, "key_id": bundles.key_id(self.told_key)})
        if path.startswith("/api/v1/monitors?node=web-1&instance="):
            return Answer(200, self.signed(self.entries))
        return problem(404, f"nothing is at {path}")

    def answer_runs(self, reports: list[dict[str, Any]]) -> Answer:
        self.runs += reports
        return Answer(202, {"accepted": len(reports)})

    def monitors_for(self, ping: dict[str, Any]) -> dict[str, Any] | None:
        told = ping.get("monitors")
        return None if told is None or told == self.hash or "goodbye" in ping else {"hash": self.hash}


def entry(monitor: dict[str, Any]) -> bundles.Entry:
    """One monitor as it travels."""
    about = {"interval_s": 5, "timeout_s": 5, **monitor}
    name, version = about.pop("name"), about.pop("version", 1)
    return bundles.entry(str(id_of(name)), name, version, read(about))


def id_of(name: str) -> UUID:
    return uuid5(ACCOUNT, name)
