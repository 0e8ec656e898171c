"""Network interfaces."""

import psutil

from agent.keys import key
from agent.parts import Metrics
from agent.rates import Rates

# One per container, with a new name each time: they would only make series that die young.
SHORT_LIVED = ("veth", "cali", "ifb")

COUNTERS = {
    "net.received_bytes_per_s": "bytes_recv",
    "net.sent_bytes_per_s": "bytes_sent",
    "net.received_packets_per_s": "packets_recv",
    "net.sent_packets_per_s": "packets_sent",
    "net.receive_errors_per_s": "errin",
    "net.send_errors_per_s": "errout",
    "net.receive_drops_per_s": "dropin",
    "net.send_drops_per_s": "dropout",
}


class Network:
    """Traffic of each interface."""

    def __init__(self) -> None:
        self._rates = Rates()

    def read(self, now_s: float) -> Metrics:
        """`net.*_per_s{interface=}` of every lasting interface."""
        totals: Metrics = {
            key(metric, interface=interface): getattr(counters, field)
            for interface, counters in psutil.net_io_counters(pernic=True, nowrap=False).items()
            if not interface.startswith(SHORT_LIVED)
            for metric, field in COUNTERS.items()
        }
        return self._rates.update(totals, now_s)
