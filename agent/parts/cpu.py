"""Processors: how busy, and with what."""

from collections.abc import Mapping

import psutil

from agent.keys import key
from agent.parts import Metrics
from agent.rates import Rates

# The kernel counts guest time in user and nice already.
COUNTED_TWICE = ("guest", "guest_nice")
RESTING = ("idle", "iowait")
PER_CORE = ("usage", "user", "system", "iowait", "steal")


class Cpu:
    """Shares of processor time since the last reading: of the whole machine, and of each core."""

    def __init__(self) -> None:
        self._before: list[Mapping[str, float]] = []
        self._rates = Rates()

    def read(self, now_s: float) -> Metrics:
        """`cpu.*_percent` of 100 for the whole machine without label, for one core with `core`."""
        cores = psutil.cpu_times(percpu=True)
        times: list[Mapping[str, float]] = [each._asdict() for each in (psutil.cpu_times(), *cores)]
        before, self._before = self._before, times
        metrics: Metrics = {"cpu.cores": len(cores), **self._read_switches(now_s)}
        if len(before) != len(times):  # the first reading, or a core was added or removed
            return metrics
        metrics |= {f"cpu.{name}_percent": value for name, value in shares(before[0], times[0]).items()}
        for core, (earlier, later) in enumerate(zip(before[1:], times[1:], strict=True)):
            of_core = shares(earlier, later)
            metrics |= {
                key(f"cpu.{name}_percent", core=str(core)): of_core[name] for name in PER_CORE if name in of_core
            }
        return metrics

    def _read_switches(self, now_s: float) -> Metrics:
        stats = psutil.cpu_stats()
        return self._rates.update(
            {"cpu.context_switches_per_s": stats.ctx_switches, "cpu.interrupts_per_s": stats.interrupts}, now_s
        )


def shares(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Percent of the time between two readings of cumulative seconds, by kind, with `usage` for all that was work.

    Empty when no time has passed or the counters were reset.
    """
    kinds = [kind for kind in after if kind in before and kind not in COUNTED_TWICE]
    if sum(after[kind] for kind in kinds) <= sum(before[kind] for kind in kinds):
        return {}
    # iowait may fall from one reading to the next: proc(5), /proc/stat
    spent = {kind: max(0.0, after[kind] - before[kind]) for kind in kinds}
    total = sum(spent.values())
    percents = {kind: 100 * seconds / total for kind, seconds in spent.items()}
    usage = 100 - sum(percents.get(kind, 0.0) for kind in RESTING)
    return {"usage": max(0.0, usage), **{kind: value for kind, value in percents.items() if kind != "idle"}}
