"""One JSON line per figure on standard output, and a table row in RESULTS.md."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


class Report:
    """Collects figures; `close` appends them to RESULTS.md."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self._rows: list[str] = []

    def figure(self, name: str, value: float, unit: str, aim: str = "") -> None:
        """One measured number; `aim` is what was hoped for, as text."""
        self.figures[name] = value
        print(json.dumps({"figure": name, "value": round(value, 4), "unit": unit, "aim": aim}), flush=True)
        self._rows.append(f"| {name} | {value:,.3f} | {unit} | {aim} |")

    def ratio(self, name: str, of: str, to: str, aim: str) -> None:
        """The quotient of two figures of this run, when both were measured."""
        if of in self.figures and self.figures.get(to):
            self.figure(name, self.figures[of] / self.figures[to], "×", aim)

    def close(self, command: str) -> None:
        """Append what was measured, with the command and the machine."""
        lines = [
            "",
            f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_commit()}: `{command}`",
            "",
            f"{_machine()}",
            "",
            "| figure | value | unit | aim |",
            "|---|---:|---|---|",
            *self._rows,
            "",
        ]
        with RESULTS.open("a") as file:
            file.write("\n".join(lines))


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "no commit"


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} × {model}, {memory_gb:.0f} GB, Python {platform.python_version()}, shared machine"
