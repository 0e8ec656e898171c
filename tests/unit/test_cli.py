"""The command line: every command has its module, and says in one line what is wrong."""

import importlib.util

import pytest

from metrist import cli


def test_every_command_has_its_module() -> None:
    for words in (
        "up", "engine", "api", "worker", "scheduler", "migrate", "rebuild", "account create n", "account list",
        "account export n d", "account erase n", "backup d", "restore d",
        "key create --account a", "key list --account a", "key revoke i", "user sign-in e", "user list",
    ):  # fmt: skip
        module = cli.parser().parse_args(words.split()).module
        assert importlib.util.find_spec(f"metrist.commands.{module}"), words


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("metrist ")


def test_a_bad_setting_is_one_line_and_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METRIST_PORT", "many")
    assert cli.main(["account", "list"]) == 78
    said = capsys.readouterr().err
    assert said.startswith("metrist: METRIST_PORT: ")
    assert said.count("\n") == 1


def test_a_store_away_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("METRIST_CLICKHOUSE_URL", "http://u:geheim@127.0.0.1:1/default")
    assert cli.main(["migrate"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("metrist: cannot reach ClickHouse at http://u:***@127.0.0.1:1/default: Connection refused")
    assert said.count("\n") == 1
