"""The set on disk: whatever kills the agent, it is one that runs."""

import base64
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from agent.monitors.bundle import Trust
from agent.monitors.kept import Kept
from domain import bundles
from tests.monitor_server import ACCOUNT, entry

PRIVATE = b"k" * 32
TRUST = Trust(base64.b64encode(bundles.public_key(PRIVATE)).decode(), "k1", str(ACCOUNT))

TAKE_FOREVER = """
import sys
from pathlib import Path
from agent.monitors.kept import Kept
sets = [Path(name).read_bytes() for name in sys.argv[2:]]
kept = Kept(Path(sys.argv[1]), "web-1")
print("ready", flush=True)
while True:
    for each in sets:
        kept.take(each)
"""


def test_a_set_outlives_a_kill_at_any_moment(tmp_path: Path) -> None:
    folder = tmp_path / "monitors"
    Kept(folder, "web-1").pin(TRUST)
    paths = []
    for number in range(3):
        script = f"gauge('m', {number}) --" + "x" * 30_000
        path = tmp_path / f"set{number}"
        path.write_bytes(signed(*({"name": f"m{each}", "script": script} for each in range(number + 1))))
        paths.append(path)
    for _ in range(8):
        command = [sys.executable, "-c", TAKE_FOREVER, str(folder), *map(str, paths)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0.05, 0.2))
            process.send_signal(signal.SIGKILL)
        found = Kept(folder, "web-1").bundle
        assert found is not None and len(found.monitors) in (1, 2, 3)


def test_a_disk_that_takes_no_more_costs_only_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "monitors"
    kept = Kept(folder, "web-1")
    kept.pin(TRUST)
    (folder / "set.new").mkdir()
    kept.take(signed({"name": "a", "script": "x = 1"}))
    assert kept.bundle is not None and not (folder / "set.json").exists()


def test_a_set_that_somebody_changed_on_disk_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "monitors"
    kept = Kept(folder, "web-1")
    kept.pin(TRUST)
    kept.take(signed({"name": "a", "script": "x = 1"}))
    path = folder / "set.json"
    path.write_bytes(path.read_bytes().replace(b"x = 1", b"x = 2"))
    assert Kept(folder, "web-1").bundle is None
    assert Kept(folder, "web-1").trust == TRUST


def signed(*monitors: dict[str, object]) -> bytes:
    return bundles.signed(PRIVATE, ACCOUNT, "web-1", [entry(each) for each in monitors], 1_800_000_000)
