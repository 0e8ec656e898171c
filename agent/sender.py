"""From the buffer to the server, oldest first, the newest in between."""

import logging
import time
from collections.abc import Sequence
from threading import Event

import msgspec
import zstandard

from agent.batch import Batch
from agent.buffer import Buffer
from agent.client import Client, Reply, Unreachable
from agent.config import AgentConfig
from agent.outage import Outage
from agent.retry import Retry
from agent.seldom import Seldom

log = logging.getLogger(__name__)

PATH = "/api/v1/snapshots"
TOO_LARGE = 413
UNREADABLE = (400, 422)
LAST_SEND_S = 2.0


class Refusal(msgspec.Struct):
    """Samples the server did not take, by reason."""

    reason: str
    detail: str = ""
    count: int = 1


class Receipt(msgspec.Struct):
    """What the server says about a batch it has."""

    accepted: int
    refused: int = 0
    refusals: Sequence[Refusal] = ()


class Sender:
    """Sends what the buffer holds until told to stop. `run` is a thread's work; the rest may be called by others."""

    def __init__(self, config: AgentConfig, buffer: Buffer, client: Client, outage: Outage) -> None:
        self._config = config
        self._buffer = buffer
        self._client = client
        self._retry = Retry("snapshots", config, outage)
        self._seldom = Seldom()
        self._compress = zstandard.ZstdCompressor(level=3).compress
        self._work = Event()
        self._stopping = Event()
        self._give_up_at_s = 0.0
        self._sent_newest = False
        self._has_sent = False

    def wake(self) -> None:
        """There is something new in the buffer."""
        self._work.set()

    def stop(self) -> None:
        """Send what is left, within 2 s, and end. The rest stays in the buffer."""
        self._give_up_at_s = time.monotonic() + LAST_SEND_S
        self._stopping.set()
        self._work.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._work.wait()
            self._work.clear()
            self._send_waiting()
        if not self._retry.is_failing:  # during an outage nothing is lost by leaving it to the next start
            self._send_waiting()
        self._client.close()

    def _send_waiting(self) -> None:
        while batch := self._next_batch():
            timeout_s = self._timeout_s()
            if timeout_s <= 0:
                return
            pause_s = self._guarded_send(batch, timeout_s)
            if pause_s and self._stopping.wait(pause_s):
                return

    def _next_batch(self) -> Batch | None:
        """Take turns while there is much to send: the page shows now, and the past fills up behind it."""
        self._sent_newest = not self._sent_newest and not self._retry.is_failing
        return self._buffer.next_batch(newest=self._sent_newest)

    def _timeout_s(self) -> float:
        if not self._stopping.is_set():
            return self._config.timeout_s
        return self._give_up_at_s - time.monotonic()

    def _guarded_send(self, batch: Batch, timeout_s: float) -> float:
        try:
            return self._send(batch, timeout_s)
        except Exception as error:  # the edge of this thread: one batch's surprise must not end all sending
            self._seldom.warn(repr(error), f"batch {batch.id} could not be sent: {error!r}")
            return self._config.back_off_s

    def _send(self, batch: Batch, timeout_s: float) -> float:
        """Try once; the seconds to wait before the next try, 0 when the way is free."""
        try:
            lines = self._buffer.read(batch)
        except OSError as error:  # dropped a moment ago to make room, or deleted by hand
            self._seldom.warn("read", f"batch {batch.id} cannot be read: {error.strerror}")
            self._buffer.remove(batch)
            return 0
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "zstd",
            "Metrist-Batch-Id": batch.id,
        }
        try:
            reply = self._client.post(PATH, self._compress(lines), headers, timeout_s)
        except Unreachable as error:
            return self._retry.unreachable(error)
        return self._judge(batch, reply)

    def _judge(self, batch: Batch, reply: Reply) -> float:
        if reply.status in (200, 202):
            return self._accepted(batch, reply)
        if reply.status == TOO_LARGE:
            return self._too_large(batch, reply)
        if reply.status in UNREADABLE and reply.is_problem:  # a proxy's 400 says nothing about the batch
            return self._set_aside(batch, reply)
        return self._retry.refused(reply, time.time())

    def _accepted(self, batch: Batch, reply: Reply) -> float:
        receipt = reply.decoded(Receipt)
        if receipt is None:  # some network's sign-in page says 200, too
            return self._retry.misunderstood(reply)
        self._buffer.remove(batch)
        self._retry.succeeded()
        if not self._has_sent:
            self._has_sent = True
            log.info("the first snapshots are at %s", self._config.server)
        if receipt.refused:
            self._warn_of_refusals(receipt)
        return 0

    def _warn_of_refusals(self, receipt: Receipt) -> None:
        reasons = ", ".join(f"{each.count} {each.reason} ({each.detail})" for each in receipt.refusals)
        total = receipt.accepted + receipt.refused
        self._seldom.warn(
            ", ".join(sorted(each.reason for each in receipt.refusals)),
            f"{self._config.server} refused {receipt.refused} of {total} samples: {reasons}",
        )

    def _too_large(self, batch: Batch, reply: Reply) -> float:
        if self._buffer.split(batch):
            self._retry.succeeded()
            return 0
        return self._set_aside(batch, reply)

    def _set_aside(self, batch: Batch, reply: Reply) -> float:
        kept = self._buffer.set_aside(batch)
        self._retry.succeeded()
        self._seldom.warn(
            "set aside",
            f"{self._config.server} cannot read a batch of {batch.snapshots} snapshots ({reply.reason()}); "
            f"it is kept as {kept}",
        )
        return 0
