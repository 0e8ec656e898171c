"""The file of settings is checked before anything starts, and what is in it is never shown."""

import os
from pathlib import Path

import pytest

from agent import __main__ as agent_main
from metrist import cli, envfile
from metrist.environment import InvalidSettings

SECRET = "s3cret-value"


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "metrist.env"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_it_means_what_it_says(tmp_path: Path) -> None:
    path = written(
        tmp_path, "# stores\n\nMETRIST_PORT=8700\nMETRIST_HOST='::1'\nHTTPS_PROXY=\"http://a b\"\nTZ=$HOME\n"
    )
    assert envfile.read(path) == {
        "METRIST_PORT": "8700",
        "METRIST_HOST": "::1",
        "HTTPS_PROXY": "http://a b",
        "TZ": "$HOME",
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param(f"METRIST_REDIS_ULR={SECRET}", "2: there is no setting METRIST_REDIS_ULR; is it METR", id="typo"),
        pytest.param(f"metrist_redis_url={SECRET}", "metrist_redis_url; is it METRIST_REDIS_URL?", id="small letters"),
        pytest.param(f"METRIST_XYZZY_PLUGH={SECRET}", "docs/settings.md lists all", id="like nothing"),
        pytest.param(f"export METRIST_REDIS_URL={SECRET}", "line 2: not NAME=value", id="a command"),
        pytest.param(f"METRIST_SECRET_KEY='{SECRET}", "line 2: quotes must surround", id="an open quote"),
        pytest.param(f"METRIST_PORT={SECRET}", "line 2: METRIST_PORT is set a second time", id="twice"),
        pytest.param(SECRET, "line 2: not NAME=value", id="no name"),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_is_named_and_not_shown(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        envfile.read(written(tmp_path, f"METRIST_PORT=8700\n{line}\n"))
    assert says in refused.value.detail
    assert SECRET not in refused.value.detail


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610], ids=oct)
def test_it_is_for_its_owner_alone(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidSettings, match="chmod 600"):
        envfile.read(written(tmp_path, "METRIST_PORT=1\n", mode))


def test_it_must_be_there_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        envfile.read(tmp_path / "missing.env")
    with pytest.raises(InvalidSettings, match="directory"):
        envfile.read(tmp_path)


def test_a_command_starts_with_it_or_says_in_one_line_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    path = written(tmp_path, f"METRIST_DATABASE_URL=sqlite:///{tmp_path}/none.db\nMETRIST_MAILS_PER_HOUR=-1\n")
    assert cli.main(["--env-file", str(path), "account", "list"]) == 78
    said = capsys.readouterr().err
    assert said == "metrist: METRIST_MAILS_PER_HOUR: Input should be greater than 0\n"


def test_every_setting_of_the_agent_is_known() -> None:
    told = agent_main._parser("metrist agent").format_help()
    named = {word.strip("[]").partition("=")[0] for word in told.split() if word.startswith("[METRIST_")}
    assert len(named) > 10
    assert named <= envfile.KNOWN
