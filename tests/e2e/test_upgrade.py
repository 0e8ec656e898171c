"""A platform is upgraded under a fleet: nothing is lost, nobody refused or called late, and what is bad goes back."""

import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.fleets import Pace, trial
from tests.e2e.platforms import Platform, clean_environment
from tests.e2e.releases import ENDS, ERRS_LATER, FAILS_LATER, FALLS_LATER, NEVER_READY, Releases, one_migration_more
from tests.e2e.test_chaos import clickhouse, count
from tests.e2e.test_live import Viewer

WITHIN_S = 400
START_S = int(time.time()) - 86_400
METRICS = 5


@dataclass
class Sender:
    """Posts batches on connections of their own, each until it is acknowledged; notes who would not let it connect."""

    platform: Platform
    acknowledged: int = 0
    refused: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Sender":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self.platform.key}"}
        for number in itertools.count():
            if self._stop.is_set():
                return
            body = {"node": "sender", "ts": START_S + number, "metrics": {f"up.m{n}": number for n in range(METRICS)}}
            began = time.monotonic()
            while not self._post(body, {**headers, "Metrist-Batch-Id": f"b{number}"}):
                time.sleep(0.05)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.acknowledged += METRICS
            time.sleep(0.05)

    def _post(self, body: object, headers: dict[str, str]) -> bool:
        try:
            url = self.platform.url + "/api/v1/snapshots"
            return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False).status_code == 202
        except httpx.ConnectError as error:
            self.refused.append(str(error))
        except httpx.TransportError:
            pass  # whoever was being served when the API ended asks again, under the same batch id
        return False


@dataclass
class Upgraded:
    """A platform that knows where releases are, under load."""

    platform: Platform
    releases: Releases
    sender: Sender
    viewer: Viewer

    def upgrade(self, *options: str, watch_s: int = 4) -> "subprocess.CompletedProcess[str]":
        """`metrist upgrade`, as an operator calls it; a new release is watched for so long."""
        command = [sys.executable, "-P", "-m", "metrist", "upgrade", *options, "--data", str(self.platform.data_dir)]
        return subprocess.run(
            command,
            env={**clean_environment(), **self.releases.settings(), "METRIST_RELEASE_WATCH_S": str(watch_s)},
            cwd=self.platform.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def status(self) -> dict[str, object]:
        return dict(json.loads((self.platform.data_dir / "run" / "release.json").read_text()))

    def running(self) -> set[str]:
        """The folders that our processes run from, but the supervisor's and the stores'."""
        return {folder_of(self.platform, piece) for piece in ("api", "worker", "scheduler", "agent")}

    def proven(self) -> str:
        """The release that ran well last."""
        return str((self.platform.data_dir / "releases" / "proven").readlink())

    def folder(self, version: str) -> str:
        return str((self.platform.data_dir / "releases" / version).resolve())

    def until_seen_live(self) -> None:
        before = len(self.viewer.points)
        self.platform.wait_until(lambda: len(self.viewer.points) >= before + 2, 60)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "index", tmp_path / "key.pem")


@pytest.fixture
def upgraded(start: Callable[..., Platform], releases: Releases) -> Iterator[Upgraded]:
    """A platform with an agent and a fleet that must never be late, with somebody who posts and somebody who looks."""
    pace = Pace()
    platform = start("--agent", env=pace.settings())  # it knows of no source, so that it does not look by itself
    platform.wait_until(lambda: bool(platform.get("/api/v1/metrics").json()["series"]))
    token = platform.sign_in_url.partition("token=")[2]
    cookies = httpx.post(platform.url + "/sign-in", data={"token": token}, trust_env=False).cookies
    with (
        trial(platform, pace, 40) as running,
        Sender(platform) as sender,
        Viewer(platform, cookies, ("load.1m",)) as seen,
    ):
        made = Upgraded(platform, releases, sender, seen)
        made.until_seen_live()
        yield made
        running.until_heard()
        running.judge()
        assert sender.refused == []
    client = clickhouse(platform)
    ours = "FROM samples WHERE metric LIKE 'up.m%'"
    platform.wait_until(lambda: count(client, f"count() {ours}") >= sender.acknowledged)
    assert count(client, f"count() {ours}") == sender.acknowledged > 100
    assert count(client, f"count() FROM (SELECT DISTINCT metric, ts {ours})") == sender.acknowledged


def folder_of(platform: Platform, piece: str) -> str:
    """The environment that a piece runs from."""
    command = psutil.Process(platform.child_pid(piece)).cmdline()
    return command[0].rpartition("/bin/")[0]


def test_a_good_release_stays_a_bad_one_goes_back_and_a_person_may_go_back_too(upgraded: Upgraded) -> None:
    upgraded.releases.add("0.2.0")
    done = upgraded.upgrade("--apply")
    assert done.stdout == "upgraded from 0.1.0 to 0.2.0\n", done.stderr
    assert upgraded.running() == {upgraded.folder("0.2.0")}
    upgraded.until_seen_live()

    upgraded.releases.add("0.3.0", ERRS_LATER)
    refused = upgraded.upgrade("--apply")
    assert refused.returncode == 1
    assert re.search(r"0\.3\.0 is bad and 0\.2\.0 runs: \d+ of \d+ requests ended with an error", refused.stderr)
    assert upgraded.running() == {upgraded.folder("0.2.0")}
    told = upgraded.upgrade("--check").stdout
    assert re.match(r"0\.2\.0 is the newest there is\n0\.3\.0 is not taken: \d+ of \d+ requests", told)
    assert upgraded.upgrade("--apply").stdout == "0.2.0 is the newest there is\n"

    assert upgraded.upgrade("--rollback").stdout == "went back from 0.2.0 to 0.1.0\n"
    assert upgraded.running() == {upgraded.folder("0.1.0")}
    assert upgraded.upgrade("--apply").stdout == "0.1.0 is the newest there is\n", "nor is what was rolled back by hand"
    upgraded.until_seen_live()
    assert upgraded.status()["restarts"] == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param(ENDS, "its API ends when it is started", id="ends"),
        pytest.param(NEVER_READY, "its API was not ready after 60 s", id="never ready"),
        pytest.param(FAILS_LATER, "it was not ready for", id="fails later"),
        pytest.param(FALLS_LATER, "its processes had to be started again", id="falls later"),
    ],
)
def test_what_is_bad_goes_back_however_it_is_bad(upgraded: Upgraded, broken: dict[str, str], says: str) -> None:
    before = upgraded.platform.child_pid("worker")
    upgraded.releases.add("0.2.0", broken)
    refused = upgraded.upgrade("--apply", watch_s=40)  # two falls take some fifteen seconds
    assert f"0.2.0 is bad and 0.1.0 runs: {says}" in refused.stderr
    assert upgraded.running() == {upgraded.folder("0.1.0")}
    if broken in (ENDS, NEVER_READY):
        assert upgraded.platform.child_pid("worker") == before, "nothing but the rehearsal ever ran it"
    upgraded.until_seen_live()


@pytest.mark.long
def test_a_platform_looks_by_itself_and_starts_with_what_is_proven(
    start: Callable[..., Platform], releases: Releases
) -> None:
    platform = start(env={**releases.settings(), "METRIST_RELEASE_WATCH_S": "3"})
    here = Upgraded(platform, releases, Sender(platform), Viewer(platform, httpx.Cookies(), ()))
    base = folder_of(platform, "api")
    releases.add("0.2.0", one_migration_more())
    platform.wait_until(lambda: here.proven() == "0.2.0", 240)
    assert folder_of(platform, "api") == here.folder("0.2.0")

    platform.restart()  # by the command of where it was first started from
    assert {folder_of(platform, name) for name in ("api", "worker", "engine")} == {here.folder("0.2.0")}

    assert here.upgrade("--rollback").stdout == "went back from 0.2.0 to 0.1.0\n"
    assert folder_of(platform, "api") == base
    platform.restart()  # on tables to which a newer release has added
    assert folder_of(platform, "api") == base
    assert platform.post_snapshot("after", {"a": 1}).status_code == 202

    (platform.data_dir / "releases" / ".current.new").symlink_to("0.2.0")  # an upgrade that is cut off in its middle
    (platform.data_dir / "releases" / ".current.new").replace(platform.data_dir / "releases" / "current")
    platform.wait_until(lambda: here.status()["version"] == "0.2.0" and bool(here.status()["is_settled"]), 120)
    platform.restart()
    assert folder_of(platform, "api") == base
