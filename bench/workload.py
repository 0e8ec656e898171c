"""The reference workload: TSBS-like "cpu only" data, as NDJSON snapshots for us and Influx lines for peers.

HOSTS nodes × 10 metrics × STEPS points, 10 s apart from 2026-01-01 00:00 UTC, seeded. Half of the nodes report whole
numbers, half two decimals: random walks between 0 and 100. A body holds 1,000 snapshots.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

START_S = 1_767_225_600
STEP_S = 10
SNAPSHOTS_PER_BODY = 1_000
FIELDS = (
    "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
    "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
)  # fmt: skip
REGIONS = ("us-east-1", "us-west-1", "eu-west-1", "ap-south-1")


@dataclass(frozen=True)
class Workload:
    """One size of the workload."""

    name: str
    hosts: int
    steps: int

    @property
    def samples(self) -> int:
        return self.hosts * self.steps * len(FIELDS)

    @property
    def end_s(self) -> int:
        return START_S + self.steps * STEP_S

    def write(self, parent: Path) -> Path:
        """Files NNNNN.ndjson and NNNNN.influx; a folder that is complete is used again."""
        folder = parent / f"metrist-bench-{self.name}-{self.hosts}x{self.steps}"
        if (folder / "complete").exists():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        snapshots = self._snapshots()
        number = 0
        while chunk := list(islice(snapshots, SNAPSHOTS_PER_BODY)):
            (folder / f"{number:05d}.ndjson").write_text("".join(line for line, _ in chunk))
            (folder / f"{number:05d}.influx").write_text("".join(line for _, line in chunk))
            number += 1
        (folder / "complete").touch()
        return folder

    def _snapshots(self) -> Iterator[tuple[str, str]]:
        rng = random.Random(7)
        walks = [[rng.uniform(0, 100) for _ in FIELDS] for _ in range(self.hosts)]
        for step in range(self.steps):
            ts_s = START_S + step * STEP_S
            for host, walk in enumerate(walks):
                walk[:] = [min(100.0, max(0.0, value + rng.gauss(0, 1))) for value in walk]
                values = [int(value) for value in walk] if host % 2 else [round(value, 2) for value in walk]
                yield _ndjson(host, ts_s, values), _influx(host, ts_s, values)


def _ndjson(host: int, ts_s: int, values: list[float] | list[int]) -> str:
    metrics = ",".join(f'"cpu.{name}":{value}' for name, value in zip(FIELDS, values, strict=True))
    return f'{{"node":"host_{host}","ts":{ts_s},"metrics":{{{metrics}}}}}\n'


def _influx(host: int, ts_s: int, values: list[float] | list[int]) -> str:
    tags = (
        f"hostname=host_{host},region={REGIONS[host % 4]},rack={host % 50},os=Ubuntu16.10,arch=x64,"
        f"team=SF,service={host % 20},service_version=1,service_environment=test"
    )
    fields = ",".join(f"{name}={value}" for name, value in zip(FIELDS, values, strict=True))
    return f"cpu,{tags} {fields} {ts_s}000000000\n"


W1 = Workload("W1", 100, 8_640)
W2 = Workload("W2", 1_000, 500)
W3 = Workload("W3", 10_000, 20)
QUICK = Workload("quick", 100, 500)
