"""Sensors, where the machine has them: temperatures, fans, battery."""

from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from agent.keys import key
from agent.parts import Metrics


def read_temperatures(_now_s: float) -> Metrics:
    """`temperature.celsius{sensor="chip/label"}`."""
    return _readings("temperature.celsius", _ask("sensors_temperatures"))


def read_fans(_now_s: float) -> Metrics:
    """`fan.speed_rpm{sensor="chip/label"}`."""
    return _readings("fan.speed_rpm", _ask("sensors_fans"))


def read_battery(_now_s: float) -> Metrics:
    """`battery.*`: charge, whether it is being charged (1 or 0), and the time left when it is known."""
    battery = _ask("sensors_battery")
    if not battery:
        return {}
    metrics: Metrics = {"battery.charge_percent": battery.percent}
    if battery.power_plugged is not None:
        metrics["battery.plugged_in"] = int(battery.power_plugged)
    if battery.secsleft >= 0:  # negative: unlimited or unknown
        metrics["battery.remaining_seconds"] = battery.secsleft
    return metrics


def _ask(function: str) -> Any:
    """What psutil knows; nothing on systems where it has no such function."""
    return getattr(psutil, function, dict)()


def _readings(metric: str, chips: Mapping[str, Sequence[Any]]) -> Metrics:
    metrics: Metrics = {}
    for chip, readings in chips.items():
        for number, reading in enumerate(readings):
            sensor = f"{chip}/{reading.label or number}"
            if key(metric, sensor=sensor) in metrics:  # two disks, both with a "Composite"
                sensor = f"{sensor} {number}"
            if reading.current is not None:
                metrics[key(metric, sensor=sensor)] = reading.current
    return metrics
