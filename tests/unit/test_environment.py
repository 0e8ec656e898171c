"""A bad value names its setting; no password is shown."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.errors import StartRefused
from metrist.datadir import DataDir
from metrist.embedded import Embedded, Store, variables
from metrist.environment import InvalidSettings, read_settings, without_password
from metrist.reach import refuse_unreachable


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        pytest.param("METRIST_PORT", "many", "METRIST_PORT: .*valid integer.*, not 'many'", id="no number"),
        pytest.param("METRIST_PORT", "70000", "METRIST_PORT: .*less than.*65535, not '70000'", id="too large"),
        pytest.param("METRIST_TRUSTED_PROXIES", "proxy", "METRIST_TRUSTED_PROXIES: .*'proxy' does not", id="a name"),
        pytest.param("METRIST_LOG_FORMAT", "xml", "METRIST_LOG_FORMAT: .*'json' or 'console', not 'xml'", id="no such"),
    ],
)
def test_a_bad_value_names_its_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=says) as refused:
        read_settings()
    assert refused.value.extra["exit_code"] == 78


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"),
        ("OIDC_ISSUER", "OIDC_CLIENT_ID"),
        ("OIDC_ISSUER", "OIDC_CLIENT_SECRET"),
    ],
)
def test_half_a_provider_is_refused(monkeypatch: pytest.MonkeyPatch, given: str, missing: str) -> None:
    monkeypatch.setenv(f"METRIST_{given}", "something")
    with pytest.raises(InvalidSettings, match=f"METRIST_{missing}: .*METRIST_{given}"):
        read_settings()


def test_what_was_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIST_PORT", "1")
    monkeypatch.setenv("METRIST_HOST", "::1")
    settings = read_settings(port=2, host=None)
    assert (settings.port, settings.host) == (2, "::1")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:geheim@h:1/0", "redis://:***@h:1/0"),
        ("http://me:geheim@h:8123/db", "http://me:***@h:8123/db"),
        ("http://me:ge@heim@h:8123/db", "http://me:***@h:8123/db"),
        ("postgresql://me@h/db?password=geheim&sslmode=require", "postgresql://me@h/db?password=***&sslmode=require"),
        ("sqlite:////data/control.db", "sqlite:////data/control.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(SecretStr(url)) == shown


def test_pieces_are_told_of_embedded_stores_unless_others_are_set(tmp_path: Path) -> None:
    both = Embedded(Store(1, "p"), Store(2, "q"))
    told = variables(read_settings(), DataDir(tmp_path), both)
    assert told["METRIST_CLICKHOUSE_URL"] == "http://metrist:p@127.0.0.1:1/default"
    assert told["METRIST_REDIS_URL"] == "redis://:q@127.0.0.1:2/0"
    assert told["METRIST_DATABASE_URL"] == f"sqlite:///{tmp_path}/control.db"
    assert told["METRIST_SPOOL_DIR"] == f"{tmp_path}/spool"
    theirs = read_settings(database_url=SecretStr("postgresql://h/db"), spool_dir=Path("/spool"))
    told = variables(theirs, DataDir(tmp_path), Embedded(None, None))
    assert set(told) == {"METRIST_HOST", "METRIST_PORT", "METRIST_RELEASES_DIR"}


def test_a_store_that_is_not_there_is_named() -> None:
    settings = read_settings(redis_url=SecretStr("redis://:geheim@127.0.0.1:1/0"))
    says = r"cannot reach Redis at redis://:\*\*\*@127.0.0.1:1/0: Connection refused; see METRIST_REDIS_URL"
    with pytest.raises(StartRefused, match=says):
        refuse_unreachable(settings, "redis_url")
    refuse_unreachable(settings, "database_url")  # a file is its own client's business
