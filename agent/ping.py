"""The long poll: this node lives, what has it finished, what should it do."""

import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import msgspec

from agent.client import Client, Unreachable
from agent.commands import Command, Commander, Finished
from agent.config import VERSION, AgentConfig
from agent.live import Ask, Live
from agent.outage import Outage
from agent.retry import Retry
from agent.seldom import Seldom

if TYPE_CHECKING:
    from agent.monitors.service import Monitors

PATH = "/api/v1/ping"
WAIT_MAX_S = 55.0
INTERVAL_MIN_S, INTERVAL_MAX_S = 0.1, 3600.0


class MonitorsAsk(msgspec.Struct):
    """The set of monitors that this node is to run."""

    hash: str


class Answer(msgspec.Struct):
    """A ping's answer, as far as this agent reads it."""

    ping_interval_s: float
    commands: Sequence[Command] = ()
    live: Ask | None = None
    monitors: MonitorsAsk | None = None


class Pinger:
    """Pings until told to stop. `run` is a thread's work."""

    def __init__(
        self,
        config: AgentConfig,
        instance: UUID,
        client: Client,
        outage: Outage,
        live: Live,
        monitors: "Monitors | None" = None,
    ) -> None:
        """monitors: None where this machine's owner allows none."""
        self._config = config
        self._live = live
        self._monitors = monitors
        self._client = client
        self._retry = Retry("ping", config, outage)
        self._commander = Commander({"trial": monitors.try_out} if monitors else {})
        self._seldom = Seldom()
        self._stopping = Event()
        self._interval_s: float | None = None
        self._unreported: list[Finished] = []
        self._agent = {"version": VERSION, "os": _system_name()}
        self._about_us = {
            "node": config.node,
            "instance": str(instance),
            "run": uuid4().hex[:8],
            "agent": self._agent,
            "labels": dict(config.labels),
            "ephemeral": config.is_ephemeral,
        }

    def stop(self) -> None:
        """End now; a ping under way is given up."""
        self._stopping.set()
        self._client.abort()

    def say_goodbye(self, client: Client, timeout_s: float) -> None:
        """Tell the server that this agent stops on purpose, when `run` has ended; one try, and nothing is lost by it.

        client  another one than that of `run`, which has been given up
        """
        if self._interval_s is None or self._retry.is_failing:
            return  # it does not know us, or is away: silence is all it will notice
        body = {**self._body(0.0, self._unreported), "goodbye": self._goodbye()}
        with suppress(Unreachable):
            client.post(PATH, msgspec.json.encode(body), {"Content-Type": "application/json"}, timeout_s)
        client.close()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                pause_s = self._ping()
            except Exception as error:  # the edge of this thread: it must go on, or the node looks dead
                self._seldom.warn(repr(error), f"a ping failed: {error!r}")
                pause_s = self._config.back_off_s
            self._stopping.wait(pause_s)
        self._client.close()

    def _ping(self) -> float:
        """Ping once and do what the answer asks; the seconds to wait before the next ping."""
        started_s = time.monotonic()
        # The first ping is answered at once: it makes the node known and says how often to ping.
        wait_s = 0.0 if self._interval_s is None else min(self._interval_s, WAIT_MAX_S)
        reported = list(self._unreported)
        try:
            reply = self._client.post(
                PATH,
                msgspec.json.encode(self._body(wait_s, reported)),
                {"Content-Type": "application/json"},
                wait_s + self._config.timeout_s,
            )
        except Unreachable as error:
            return 0 if self._stopping.is_set() else self._retry.unreachable(error)
        if reply.status != 200:
            return self._retry.refused(reply, time.time())
        answer = reply.decoded(Answer)
        if answer is None:
            return self._retry.misunderstood(reply)
        self._retry.succeeded()
        self._unreported = [self._commander.carry_out(command) for command in answer.commands]
        self._interval_s = min(max(answer.ping_interval_s, INTERVAL_MIN_S), INTERVAL_MAX_S)
        is_asked = answer.live is not None and self._live.ask(answer.live)
        runs_others = self._take_up(answer.monitors)
        if wait_s == 0 or self._unreported or is_asked or runs_others:
            return 0
        # A server that cannot hold a ping answers early; it must not be asked in a circle.
        return max(0.0, started_s + wait_s - time.monotonic())

    def _body(self, wait_s: float, reported: Sequence[Finished]) -> dict[str, object]:
        body: dict[str, object] = {**self._about_us, "sent_at": time.time(), "wait": wait_s, "finished": reported}
        if self._live.serves is not None:
            body["live"] = self._live.serves
        if self._monitors is not None:
            body["monitors"] = self._monitors.hash
            body["agent"] = {**self._agent, **self._monitors.facts_for_ping()}
        return body if self._interval_s is None else {**body, "ping_interval_s": self._interval_s}

    def _take_up(self, asked: MonitorsAsk | None) -> bool:
        """Whether other monitors run now, which the server is to hear at once."""
        return asked is not None and self._monitors is not None and self._monitors.want(asked.hash)

    def _goodbye(self) -> dict[str, object]:
        if self._config.goodbye_s == 0 or self._config.is_ephemeral:
            return {"reason": "stop"}
        return {"reason": "restart", "back_within_s": self._config.goodbye_s}


def _system_name() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{platform.system()} {platform.release()}"
