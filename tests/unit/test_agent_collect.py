"""What is measured, on the machine the tests run on."""

import errno
import logging
import math
import time
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest

from agent.collect import Collector, parts
from agent.parts import disks, sensors
from agent.parts.disks import DiskUse
from domain import series_key
from domain.snapshots import Admission, Bounds


def test_a_real_snapshot_is_finite_canonical_and_complete() -> None:
    collector = Collector(parts(lambda: 3))
    first = collector.collect()
    time.sleep(0.2)
    second = collector.collect()
    assert all(math.isfinite(value) for value in second.values())
    assert all(series_key.compose(*series_key.parse(key)) == key for key in second)
    assert first.items() <= {**second, **first}.items()
    names = {series_key.parse(key)[0] for key in second}
    assert {
        "cpu.usage_percent",
        "load.15m",
        "mem.used_bytes",
        "swap.used_percent",
        "disk.used_percent",
        "net.received_bytes_per_s",
        "process.count",
        "system.open_files",
        "system.uptime_seconds",
        "agent.cpu_percent",
    } <= names
    assert second["agent.buffered_snapshots"] == 3
    assert second["process.count"] == sum(value for key, value in second.items() if key.startswith("process.count{"))
    percents = [value for key, value in second.items() if "_percent" in key and not key.startswith("agent.")]
    assert all(0 <= value <= 100 for value in percents)
    assert 'cpu.usage_percent{core="0"}' in second


def test_the_server_takes_every_sample_of_it() -> None:
    metrics = Collector(parts(lambda: 0)).collect()
    body = msgspec.json.encode({"node": "web-1", "ts": 1_800_000_000.0, "metrics": metrics}) + b"\n"
    bounds = Bounds(oldest_s=0, now_s=1_800_000_000, newest_s=1_800_000_600)
    admitted = Admission().admit(body, bounds, is_ndjson=True)
    assert (admitted.accepted, admitted.refused) == (len(metrics), 0)


def test_a_part_that_fails_costs_only_itself_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def fail(_now_s: float) -> dict[str, float]:
        raise PermissionError(errno.EACCES, "not for you")

    collector = Collector({"bad": fail, "good": lambda _now_s: {"a": 1.23456, "b": math.nan, "c": math.inf}})
    assert collector.collect() == {"a": 1.235}
    assert collector.collect() == {"a": 1.235}
    (line,) = caplog.messages
    assert line.startswith("bad cannot be measured: PermissionError")


def test_a_file_system_that_vanished_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disks, "mounted", lambda: [("/dev/gone", "/no/such/mount"), ("/dev/vda1", "/")])
    use = DiskUse()
    assert set(use.read(0)) == set(use.read(0))
    assert 'disk.used_percent{device="vda1",mount="/"}' in use.read(0)
    assert len(caplog.messages) == 1


def test_mounts_are_one_per_device_without_images(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        ("/dev/sda1", "/var/lib/docker", "ext4"),
        ("/dev/sda1", "/", "ext4"),
        ("/dev/loop0", "/snap/core/1", "squashfs"),
        ("/dev/sdb1", "/data", "xfs"),
    ]
    partitions = [SimpleNamespace(device=device, mountpoint=mount, fstype=kind) for device, mount, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_all: partitions)
    assert disks.mounted() == [("/dev/sda1", "/"), ("/dev/sdb1", "/data")]


def reading(label: str, current: float | None) -> Any:
    return SimpleNamespace(label=label, current=current)


def test_sensors_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chips = {
        "nvme": [reading("Composite", 40.0), reading("Composite", 41.0)],
        "acpitz": [reading("", 27.8), reading("", None)],
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: chips, raising=False)
    assert sensors.read_temperatures(0) == {
        'temperature.celsius{sensor="nvme/Composite"}': 40.0,
        'temperature.celsius{sensor="nvme/Composite 1"}': 41.0,
        'temperature.celsius{sensor="acpitz/0"}': 27.8,
    }


@pytest.mark.parametrize(
    ("battery", "metrics"),
    [
        (None, {}),
        (
            SimpleNamespace(percent=80.5, secsleft=3600, power_plugged=False),
            {"battery.charge_percent": 80.5, "battery.plugged_in": 0, "battery.remaining_seconds": 3600},
        ),
        (
            SimpleNamespace(percent=100, secsleft=-2, power_plugged=True),
            {"battery.charge_percent": 100, "battery.plugged_in": 1},
        ),
    ],
    ids=["none", "on battery", "on mains"],
)
def test_battery(monkeypatch: pytest.MonkeyPatch, battery: Any, metrics: dict[str, float]) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    assert sensors.read_battery(0) == metrics


def test_a_system_without_sensors_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_fans", raising=False)
    assert sensors.read_fans(0) == {}
