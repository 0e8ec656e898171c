"""`metrist monitors`: what a folder says is what the server has, and a second time there is nothing to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metrist.cli import main
from schema import api_keys, monitors
from tests.integration.pages.site import Site, new_tenant
from tests.integration.pages.test_monitors_api import _now

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "disk.lua").write_text("gauge('room', param('most'))\n")
    (tmp_path / "disk.toml").write_text('interval_s = 30\nparameters = { most = 5 }\ntarget = { match = "env=prod" }\n')
    (tmp_path / "load.lua").write_text("log('a')\n")
    return tmp_path


@pytest.fixture
def run(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    tenant = new_tenant(site, f"files-{_now().timestamp()}")
    key = api_keys.create(site.control, tenant.account_id, "git", ["manage"], _now())
    monkeypatch.setenv("METRIST_SERVER", site.url)
    monkeypatch.setenv("METRIST_KEY", key.secret)

    def run(*arguments: object) -> tuple[int, str]:
        code = main(["monitors", *(str(each) for each in arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    run.account = tenant.account_id  # type: ignore[attr-defined]
    return run


def test_a_folder_becomes_what_the_server_has(site: Site, run: Run, folder: Path) -> None:
    assert run("plan", folder) == (0, "+ disk: new\n+ load: new\n2 to change\n")
    assert run("apply", folder, "--note", "first") == (
        0,
        "+ disk: new, now version 1\n+ load: new, now version 1\n2 changed\n",
    )
    made = monitors.find(site.control, run.account, "disk")  # type: ignore[attr-defined]
    assert (made.spec.interval_s, made.spec.parameters, made.target.match) == (30, {"most": 5}, "env=prod")
    assert made.pushed == 1
    (version,) = monitors.versions(site.control, run.account, "disk")  # type: ignore[attr-defined]
    assert (version.note, version.saved_by) == ("first", "the key git")
    assert run("plan", folder) == (0, "nothing to change\n")
    (folder / "disk.toml").write_text('interval_s = 60\nparameters = { most = 5 }\ntarget = { match = "*" }\n')
    (folder / "load.lua").unlink()
    assert run("plan", folder) == (0, "~ disk: interval_s, target\n1 to change\n")
    assert run("apply", folder, "--prune")[1] == "~ disk: interval_s, target, now version 2\n- load\n2 changed\n"
    assert run("plan", folder, "--prune") == (0, "nothing to change\n")


def test_what_is_not_pushed_is_pushed_by_the_next_apply(run: Run, folder: Path) -> None:
    run("apply", folder, "--no-push")
    assert "~ disk: not pushed" in run("plan", folder)[1]
    run("apply", folder)
    assert run("plan", folder)[1] == "nothing to change\n"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("disk.toml", "interval_s = ", "disk.lua: "),
        ("disk.toml", "interval_s = 1", "disk.lua: The interval is 5 to"),
        ("disk.toml", "intervall = 1", "unknown field"),
        ("alone.toml", "interval_s = 60", "has no script alone.lua"),
        ("Big Name.lua", "log('a')", "small letters"),
        ("disk.lua", "log('a'", "Line 1 of the script"),
    ],
)
def test_what_is_wrong_is_said_with_its_file(run: Run, folder: Path, file: str, text: str, said: str) -> None:
    (folder / file).write_text(text)
    code, told = run("apply", folder)
    assert code == 1 and said in told


def test_it_says_what_it_lacks(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is no folder" in run("plan", folder / "nothing")[1]
    assert "does not answer" in run("plan", folder, "--server", "http://127.0.0.1:1")[1]
    monkeypatch.setenv("METRIST_KEY", "wrong")
    assert "not a Metrist API key" in run("plan", folder)[1]
    monkeypatch.delenv("METRIST_KEY")
    assert run("plan", folder) == (1, "metrist: set METRIST_KEY to a key of scope manage\n")
