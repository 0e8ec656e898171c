"""The operator's commands, on a control DB of their own."""

import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from domain import keys
from domain.identities import Profile
from metrist import cli
from schema import api_keys, identities
from schema.control import migrate
from schema.control.engine import open_control
from schema.keys import KEY_REVOKED
from tests.valkey_server import Valkey

KEY = r"mtr_[0-9a-f]{16}_[\w-]{43}"


@pytest.fixture(autouse=True)
def control_db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/control.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METRIST_DATABASE_URL", url)
    return url


@pytest.fixture
def migrated(control_db: str) -> None:
    engine = open_control(control_db)
    migrate.upgrade(engine)
    engine.dispose()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_an_empty_database_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert "run `metrist migrate`" in refusal(capsys, "account", "list")


@pytest.mark.usefixtures("migrated")
def test_an_account_is_created_with_a_key_and_its_owner_let_in(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "account", "create", "works", "--owner", "Me@Example.org")
    key = re.findall(rf"API key  ({KEY})  \(shown only now\)", said)[0]
    listed = run(capsys, "account", "list")
    assert listed.startswith("works  ")
    assert f"key {keys.public_id(key)}  first key  ingest+read  never used" in listed
    link = run(capsys, "user", "sign-in", "me@example.org")
    assert re.fullmatch(r"http://127\.0\.0\.1:8600/sign-in\?token=[\w-]{43}\n", link)
    assert "nobody here is you@example.org" in refusal(capsys, "user", "sign-in", "you@example.org")


@pytest.mark.usefixtures("migrated")
def test_people_without_an_address_are_listed_and_let_in(capsys: pytest.CaptureFixture[str], control_db: str) -> None:
    who = Profile("github", "https://github.com", "1001", "ada", "Ada Lovelace")
    engine = open_control(control_db)
    user_id = identities.enter(engine, who, datetime(2026, 1, 1, tzinfo=UTC), may_register=True)
    engine.dispose()
    assert run(capsys, "user", "list").splitlines() == [
        f"no address  Ada Lovelace  {user_id}  since 2026-01-01",
        "  signs in by github as ada",
        "  belongs to Ada Lovelace",
    ]
    assert "/sign-in?token=" in run(capsys, "user", "sign-in", str(user_id))
    assert "nobody here is" in refusal(capsys, "user", "sign-in", str(UUID(int=1)))


@pytest.mark.usefixtures("migrated")
def test_a_key_is_created_and_revoked(
    capsys: pytest.CaptureFixture[str], control_db: str, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRIST_REDIS_URL", valkey.url)
    run(capsys, "account", "create", "works")
    key = run(capsys, "key", "create", "--account", "works", "--name", "reader", "--scope", "read").strip()
    assert re.fullmatch(KEY, key)
    public_id = keys.public_id(key)
    assert public_id
    assert f"key {public_id}  reader  read" in run(capsys, "account", "list")
    assert f"key {public_id}  reader  read  never used\n" in run(capsys, "key", "list", "--account", "works")
    with closing(valkey.client()) as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(KEY_REVOKED)
        heard.get_message(timeout=5)
        assert run(capsys, "key", "revoke", public_id) == f"Revoked {public_id}\n"
        message = heard.get_message(timeout=5)
        assert message and message["data"] == public_id.encode()
    assert run(capsys, "key", "revoke", key) == f"{public_id} was revoked before\n"
    stored = api_keys.find_by_public_id(open_control(control_db), public_id)
    assert stored
    assert stored.revoked_at
    assert "there is no API key" in refusal(capsys, "key", "revoke", "0123456789abcdef")


@pytest.mark.usefixtures("migrated")
def test_a_key_is_revoked_while_redis_is_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRIST_REDIS_URL", "redis://127.0.0.1:1/0")
    run(capsys, "account", "create", "works")
    key = run(capsys, "key", "create").strip()
    said = run(capsys, "key", "revoke", key)
    assert said.startswith(f"Revoked {keys.public_id(key)}\nRedis does not answer")
    assert "revoked" in run(capsys, "key", "list")


@pytest.mark.usefixtures("migrated")
def test_an_account_must_be_named_clearly(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no account 'works'" in refusal(capsys, "key", "create", "--account", "works")
    first, second = (run(capsys, "account", "create", "works").split()[2] for _ in range(2))
    said = refusal(capsys, "key", "create", "--account", "works")
    assert f"several accounts are called 'works'; name one by its id: {first}, {second}" in said
    assert re.fullmatch(KEY, run(capsys, "key", "create", "--account", second).strip())


@pytest.mark.usefixtures("migrated")
def test_state_is_folded_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "account", "create", "works", "--owner", "me@example.org")
    assert run(capsys, "rebuild") == "Folded 4 events to 4 rows\n"


def test_the_data_directory_of_an_up_is_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METRIST_DATABASE_URL")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "address").write_text("http://127.0.0.1:1234")
    migrate.upgrade(open_control(f"sqlite:///{tmp_path}/data/control.db"))
    run(capsys, "account", "create", "works", "--owner", "me@example.org")
    assert run(capsys, "user", "sign-in", "me@example.org").startswith("http://127.0.0.1:1234/sign-in?")
    assert run(capsys, "account", "list", "--data", "data") == run(capsys, "account", "list")
    assert "elsewhere is no data directory" in refusal(capsys, "account", "list", "--data", "elsewhere")
