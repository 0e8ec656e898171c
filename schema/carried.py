"""What becomes of spooled segments, counted: how long until they can be read, what had to wait, what was set aside."""

import threading
from collections.abc import Iterator

from domain import metering
from domain.metering import Family, Histogram


class Carried:
    """What the drain has done since the process started; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lag = Histogram((0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0))
        self._waited = self._refused = 0

    def stored(self, lag_s: float) -> None:
        """A segment is in ClickHouse, so long after its first sample was acknowledged."""
        with self._lock:
            self._lag.observe(lag_s)

    def waited(self) -> None:
        """ClickHouse took one not, and it is tried again."""
        with self._lock:
            self._waited += 1

    def refused(self, batches: int) -> None:
        """So many batches were set aside for a person, since ClickHouse cannot read them."""
        with self._lock:
            self._refused += batches

    def families(self) -> Iterator[Family]:
        """As figures."""
        with self._lock:
            says = "From the acknowledgement of a segment's first sample until it can be read"
            yield metering.histogram("metrist_ingest_lag_seconds", says, self._lag)
            yield metering.counter("metrist_inserts_put_off", "INSERTs that are to be tried again", self._waited)
            yield metering.counter("metrist_batches_set_aside", "Batches that ClickHouse cannot read", self._refused)
