"""The agent: takes a snapshot every interval, while one thread sends them and another pings."""

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from agent import state
from agent.buffer import Buffer
from agent.client import Client
from agent.collect import Collector, parts
from agent.config import VERSION, AgentConfig
from agent.live import Live
from agent.notify import Notifier
from agent.outage import Outage
from agent.parts import Metrics
from agent.ping import Pinger
from agent.schedule import Schedule, phase_of
from agent.sender import LAST_SEND_S, Sender
from agent.state import State, StateUnusable

if TYPE_CHECKING:
    from agent.monitors.service import Monitors

log = logging.getLogger(__name__)

Stops: TypeAlias = queue.SimpleQueue[int]
"""Where a request to stop arrives. A SimpleQueue, as it is the one that a signal handler may put into."""

FIRST_SNAPSHOT_S = 1.0
STOP_S = LAST_SEND_S + 0.7
"""A stop takes at most so long; what is left of it when the last snapshots are sent is for the goodbye."""
GOODBYE_LEAST_S = 0.3


def run(config: AgentConfig, stops: Stops | None = None) -> int:
    """Watch this machine until SIGTERM, SIGINT or an item in `stops`; the exit code."""
    stops = _stop_signals() if stops is None else stops
    try:
        with state.opened(config.state_dir) as kept:
            _watch(config, kept, stops)
    except StateUnusable as error:
        log.error("%s", error)
        return 1
    return 0


def _stop_signals() -> Stops:
    stops: Stops = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stops.put(received))
    return stops


def _watch(config: AgentConfig, kept: State, stops: Stops) -> None:
    buffer = _opened_buffer(config, kept)
    headers = {
        "Authorization": f"Bearer {config.key}",
        "User-Agent": f"metrist-agent/{VERSION}",
        "Metrist-Instance": str(kept.instance),
    }
    outage = Outage(config.server)
    snapshots_client, ping_client = Client(config.server, headers), Client(config.server, headers)
    live = Live(config, str(kept.instance), Client(config.server, headers), lambda: parts(lambda: buffer.snapshots))
    sender = Sender(config, buffer, snapshots_client, outage)
    monitors = _monitors(config, kept, buffer, partial(Client, config.server, headers), outage, sender)
    pinger = Pinger(config, kept.instance, ping_client, outage, live, monitors)
    sending = threading.Thread(target=sender.run, name="sender", daemon=True)
    pinging = threading.Thread(target=pinger.run, name="pinger", daemon=True)
    streaming = threading.Thread(target=live.run, name="live", daemon=True)
    log.info(
        "node %s reports to %s every %g s, state in %s", config.node, config.server, config.interval_s, config.state_dir
    )
    sending.start()
    pinging.start()
    streaming.start()
    sender.wake()  # what an earlier process left
    if monitors:
        monitors.start()
    _take_snapshots(config, kept, buffer, sender, stops, monitors)
    until_s = time.monotonic() + STOP_S
    if monitors:
        monitors.stop()
    live.stop()
    pinger.stop()
    sender.stop()
    sending.join(LAST_SEND_S)
    snapshots_client.abort()
    pinging.join(0.2)
    sending.join(0.2)
    # Last of all: whatever the server hears afterwards would end it.
    pinger.say_goodbye(Client(config.server, headers), max(GOODBYE_LEAST_S, until_s - time.monotonic()))
    buffer.close()
    log.info("stopped; %d snapshots wait for the next start", buffer.snapshots)


def _opened_buffer(config: AgentConfig, kept: State) -> Buffer:
    try:
        return Buffer(kept.buffer_dir, kept.rejected_dir, config.buffer_bytes)
    except OSError as error:
        raise StateUnusable(f"the buffer in {kept.buffer_dir} cannot be read: {error.strerror}") from error


def _monitors(
    config: AgentConfig, kept: State, buffer: Buffer, clients: Callable[[], Client], outage: Outage, sender: Sender
) -> "Monitors | None":
    if config.monitors is None:
        return None
    from agent.monitors.service import Monitors  # noqa: PLC0415  # 1 MB that others need not have

    return Monitors(config, config.monitors, kept, buffer, clients, outage, sender.wake)


def _take_snapshots(
    config: AgentConfig, kept: State, buffer: Buffer, sender: Sender, stops: Stops, monitors: "Monitors | None"
) -> None:
    """Take them until asked to stop."""
    collector = Collector(parts(lambda: buffer.snapshots))
    collector.collect()  # rates need a reading to compare with
    started_s = time.monotonic()
    schedule = Schedule(config.interval_s, phase_of(kept.instance, config.interval_s), started_s, time.time())
    # A new node is to be seen at once. After that, a rate over less than half an interval would be noise.
    due_s = min(started_s + FIRST_SNAPSHOT_S, schedule.next_after(started_s))
    rest_s = config.interval_s / 2
    notifier = Notifier()
    while not _asked_to_stop(stops, due_s, notifier):
        metrics = collector.collect()
        buffer.append(_snapshot(config.node, metrics))
        if monitors:
            monitors.measured(metrics)
        sender.wake()
        due_s, rest_s = schedule.next_after(time.monotonic() + rest_s), 0.0


def _asked_to_stop(stops: Stops, due_s: float, notifier: Notifier) -> bool:
    """Wait until then, and tell systemd meanwhile that we do."""
    while True:
        notifier.turned()
        left_s = due_s - time.monotonic()
        try:
            stops.get(timeout=max(0.0, min(left_s, notifier.every_s)))
        except queue.Empty:
            if left_s <= notifier.every_s:
                return False
        else:
            notifier.stopping()
            return True


def _snapshot(node: str, metrics: Metrics) -> bytes:
    return msgspec.json.encode({"node": node, "ts": round(time.time(), 3), "metrics": metrics})
