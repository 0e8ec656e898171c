"""The folder of installed releases: links that are set in one step, a memory of what was bad, three that are kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from metrist.datadir import DataDir
from metrist.releases import begin, status
from metrist.releases.errors import UpgradeRefused
from metrist.releases.served import Served, judge
from metrist.releases.shelf import Shelf
from metrist.releases.status import Status
from metrist.releases.watch import LAST, UNREADY_S, Verdict

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "releases")


def base(tmp_path: Path, name: str = "venv") -> Path:
    folder = tmp_path / name / "bin"
    folder.mkdir(parents=True)
    (folder / "python").touch()
    return folder.parent


def put(shelf: Shelf, version: str) -> None:
    (shelf.path(version) / "bin").mkdir(parents=True)
    (shelf.path(version) / "bin" / "python").touch()
    shelf.complete(version)


def run(shelf: Shelf, version: str) -> None:
    put(shelf, version)
    shelf.run(version)
    shelf.prove(version)


def test_where_it_was_first_started_from_is_a_release_like_others(shelf: Shelf, tmp_path: Path) -> None:
    shelf.adopt(base(tmp_path), "0.1.0")
    shelf.run("0.1.0")
    assert (shelf.current, shelf.proven) == ("0.1.0", None)
    assert shelf.installed() == ["0.1.0"]
    assert shelf.python("0.1.0") == tmp_path / "venv" / "bin" / "python", "where it really is, not through a link"
    shelf.adopt(shelf.path("0.1.0"), "0.1.0")
    assert shelf.python("0.1.0") == tmp_path / "venv" / "bin" / "python", "found through its own link"
    shelf.adopt(tmp_path / "venv", "0.2.0")
    assert shelf.installed() == ["0.2.0"], "it was upgraded in its own place"


def test_what_is_not_complete_is_not_installed(shelf: Shelf) -> None:
    (shelf.path("0.3.0") / "bin").mkdir(parents=True)
    (shelf.path("0.3.0") / "bin" / "python").touch()
    assert shelf.installed() == []
    shelf.complete("0.3.0")
    assert shelf.installed() == ["0.3.0"]


def test_the_last_three_good_ones_are_kept_and_what_is_used(shelf: Shelf, tmp_path: Path) -> None:
    shelf.adopt(base(tmp_path), "0.1.0")
    for version in ("0.2.0", "0.3.0", "0.9.0", "0.10.0"):
        run(shelf, version)
    put(shelf, "0.11.0")
    shelf.condemn("0.11.0", "it fell", NOW)
    assert shelf.prune(lambda path: path.name == "0.2.0") == ["0.11.0"]
    assert shelf.prune(lambda _: False) == ["0.2.0"]
    assert shelf.installed() == ["0.1.0", "0.3.0", "0.9.0", "0.10.0"]
    assert (tmp_path / "venv" / "bin" / "python").exists(), "what lies elsewhere is not ours to remove"


def test_it_remembers_what_was_bad_until_it_is_forgiven(shelf: Shelf) -> None:
    run(shelf, "0.2.0")
    assert [shelf.begin_try("0.3.0") for _ in range(3)] == [1, 2, 3]
    shelf.condemn("0.3.0", "it fell", NOW)
    again = Shelf(shelf.root)
    assert again.state().bad == {"0.3.0": {"reason": "it fell", "at": "2026-11-23T00:00:00+00:00"}}
    again.forgive("0.3.0")
    assert shelf.state().bad == {}
    assert shelf.begin_try("0.3.0") == 1
    shelf.prove("0.3.0")
    assert shelf.state().history == ["0.2.0", "0.3.0"]


def test_what_was_rolled_back_may_run_on_newer_tables_but_not_on_any(shelf: Shelf) -> None:
    run(shelf, "0.2.0")
    assert not shelf.may_run_on_newer("0.2.0"), "nobody newer was here"
    shelf.migrate("0.10.0", oldest="0.2.0")
    assert shelf.may_run_on_newer("0.2.0")
    assert not shelf.may_run_on_newer("0.1.0")
    assert not shelf.may_run_on_newer("0.10.0"), "it is the newest itself"
    shelf.migrate("0.9.0", oldest="0.1.0")
    assert not shelf.may_run_on_newer("0.1.0"), "tables do not go back"


def test_a_memory_of_a_newer_release_is_read(shelf: Shelf) -> None:
    run(shelf, "0.2.0")
    shelf.root.joinpath("state.json").write_text('{"history": ["0.2.0"], "thought_of_later": 1}')
    assert shelf.state().history == ["0.2.0"]
    shelf.root.joinpath("state.json").write_text("torn")
    assert shelf.state().history == []


def test_one_upgrades_at_a_time(shelf: Shelf) -> None:
    with shelf.lock(), pytest.raises(UpgradeRefused, match="another upgrade is under way"), shelf.lock():
        pass
    assert not shelf.is_locked()


@pytest.mark.parametrize(
    ("own", "current", "is_bad", "is_another"),
    [
        pytest.param("0.1.0", "0.2.0", False, True, id="newer"),
        pytest.param("0.2.0", "0.2.0", False, True, id="the same, installed"),
        pytest.param("0.3.0", "0.2.0", False, False, id="older"),
        pytest.param("0.3.0", "0.2.0", True, True, id="older, and ours is bad"),
        pytest.param("0.3.0", None, False, False, id="none"),
    ],
)
def test_a_start_becomes_what_shall_run(
    shelf: Shelf, tmp_path: Path, own: str, current: str | None, is_bad: bool, is_another: bool
) -> None:
    if current:
        run(shelf, current)
    if is_bad:
        shelf.condemn(own, "rolled back", NOW)
    assert begin._is_another(shelf, own, base(tmp_path)) is is_another
    if current:
        assert not begin._is_another(shelf, own, shelf.path(current)), "it is what runs already"


def test_a_checkout_is_not_left_for_another_one(shelf: Shelf, tmp_path: Path) -> None:
    shelf.adopt(base(tmp_path, "one"), "0.1.0")
    shelf.run("0.1.0")
    assert not begin._is_another(shelf, "0.1.0", base(tmp_path, "other"))
    shelf.adopt(tmp_path / "other", "0.1.0")
    assert shelf.path("0.1.0").resolve() == tmp_path / "other"


def test_a_status_is_told_and_read(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert status.read(data) == Status()
    told = Status(7, "http://127.0.0.1:1", "0.2.0", is_settled=True, failure="", restarts=2)
    status.write(data, told)
    assert status.read(data) == told


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        pytest.param([(True, True, 0)] * 60, "", id="well"),
        pytest.param([(False, True, 0)] * 8 + [(True, True, 0)] * 60, "", id="not ready for a moment"),
        pytest.param([(True, True, 1)] * 60, "", id="one restart"),
        pytest.param([(True, True, 0)] * 5 + [(False, True, 0)] * 60, "it was not ready for", id="not ready"),
        pytest.param([(True, True, 2)], "had to be started again 2 times", id="restarts"),
        pytest.param([(True, n % 3 > 0, 0) for n in range(60)], f"of its last {LAST} answers were errors", id="errors"),
        pytest.param([(True, n % 6 > 0, 0) for n in range(60)], "", id="few errors"),
    ],
)
def test_a_release_is_judged_by_what_it_does(looks: list[tuple[bool, bool, int]], says: str) -> None:
    verdict = Verdict(0.0, 0)
    reasons = [
        verdict.note(n * UNREADY_S / 10, is_ready=ready, answered=answered, restarts=restarts)
        for n, (ready, answered, restarts) in enumerate(looks)
    ]
    found = next(filter(None, reasons), "")
    assert says in found
    assert bool(says) == bool(found)


@pytest.mark.parametrize(
    ("now", "before", "is_bad"),
    [
        pytest.param(Served(1_000, 0), Served(1_000, 0), False, id="none"),
        pytest.param(Served(4, 4), Served(1_000, 0), False, id="too few to tell"),
        pytest.param(Served(100, 5), Served(1_000, 0), True, id="many"),
        pytest.param(Served(10_000, 50), Served(1_000, 0), False, id="few of very many"),
        pytest.param(Served(100, 9), Served(100, 4), False, id="not much more than before"),
        pytest.param(Served(100, 20), Served(100, 4), True, id="much more than before"),
    ],
)
def test_errors_of_its_own_are_compared_with_those_before(now: Served, before: Served, is_bad: bool) -> None:
    assert bool(judge(now, before)) is is_bad
