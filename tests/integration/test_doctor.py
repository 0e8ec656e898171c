"""`metrist doctor`: each thing is broken for real, and the doctor says so with a remedy."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis
import trustme
from sqlalchemy import Engine

from domain.settings import Settings
from metrist.doctor import checks, configured, machine, running, stores
from metrist.doctor.finding import Finding, Level
from metrist.doctor.patient import Patient
from schema import audits, keys, migrate
from schema.audits import Audit, Difference
from schema.clickhouse_client import ClickHouse
from tests.clickhouse_server import Server
from tests.mail_server import receiving_mails
from tests.valkey_server import Valkey

Check = Callable[[Patient], Iterator[Finding]]
GOOD, WARNING, PROBLEM, SKIPPED = Level.GOOD, Level.WARNING, Level.PROBLEM, Level.SKIPPED


@pytest.fixture
def admit(tmp_path: Path) -> Iterator[Callable[..., Patient]]:
    """A patient with these settings."""
    with ExitStack() as closes:

        def admit(**settings: object) -> Patient:
            known: dict[str, object] = {"spool_dir": tmp_path / "spool", "port": 1}
            return Patient(Settings(_env_file=None, **{**known, **settings}), None, closes)

        yield admit


def worst(check: Check, patient: Patient) -> Finding:
    """What is worst of its findings; whatever is not good has a remedy."""
    found = list(check(patient))
    assert all(bool(one.remedy) == (one.level in (WARNING, PROBLEM)) for one in found), found
    return max(found, key=lambda one: [GOOD, SKIPPED, WARNING, PROBLEM].index(one.level))


def is_worst(check: Check, patient: Patient, level: Level, *words: str) -> bool:
    found = worst(check, patient)
    assert found.level == level, found
    assert all(word in f"{found.says} {found.remedy}" for word in words), found
    return True


@contextmanager
def answering(code: int, body: bytes = b"", **headers: str) -> Iterator[int]:
    """A web server that answers all alike; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_addresses(admit: Callable[..., Patient]) -> None:
    assert is_worst(configured.addresses, admit(), GOOD)
    wrong = admit(redis_url="http://:secret@cache:6379/0")
    assert is_worst(configured.addresses, wrong, PROBLEM, "METRIST_REDIS_URL", "***", "rediss://")
    assert "secret" not in str(list(configured.addresses(wrong)))
    in_the_clear = admit(clickhouse_url="http://metrist:secret@db.example.org:8123/default")
    assert is_worst(configured.addresses, in_the_clear, WARNING, "in the clear")


def test_the_public_address(admit: Callable[..., Patient]) -> None:
    assert is_worst(configured.public_address, admit(public_url="metrist.example"), PROBLEM, "http(s)://HOST")
    assert is_worst(configured.public_address, admit(host="0.0.0.0"), WARNING, "METRIST_PUBLIC_URL")
    with answering(308, location="https://metrist.example/healthz") as port:
        leads_on = admit(public_url=f"http://127.0.0.1:{port}")
        assert is_worst(configured.public_address, leads_on, PROBLEM, "METRIST_PUBLIC_URL=https://metrist.example")
    with answering(200, b"It works!") as port:
        assert is_worst(configured.public_address, admit(public_url=f"http://127.0.0.1:{port}"), PROBLEM, "proxy")
    with answering(200, b'{"status":"ok"}') as port:
        assert is_worst(configured.public_address, admit(public_url=f"http://127.0.0.1:{port}"), GOOD)


def test_the_secret_key(admit: Callable[..., Patient]) -> None:
    shared = "postgresql://metrist@db/metrist"
    assert is_worst(configured.secret_key, admit(), GOOD)
    assert is_worst(configured.secret_key, admit(database_url=shared), WARNING, "not set", "every process")
    assert is_worst(configured.secret_key, admit(database_url=shared, secret_key="short"), WARNING, "5 characters")
    assert is_worst(configured.secret_key, admit(database_url=shared, secret_key="x" * 44), GOOD)


def test_providers(admit: Callable[..., Patient]) -> None:
    assert is_worst(configured.sign_in, admit(), SKIPPED)
    half = {"github_client_id": "id", "github_client_secret": "secret"}
    assert is_worst(configured.sign_in, admit(**half), PROBLEM, "METRIST_PUBLIC_URL")
    oidc = {"oidc_client_id": "id", "oidc_client_secret": "secret", "public_url": "https://metrist.example"}
    with answering(200, b'{"issuer": "https://real.example"}') as port:
        named = admit(oidc_issuer=f"http://127.0.0.1:{port}", **oidc)
        assert is_worst(configured.sign_in, named, PROBLEM, "https://real.example", "METRIST_OIDC_ISSUER")
    with answering(404) as port:
        assert is_worst(configured.sign_in, admit(oidc_issuer=f"http://127.0.0.1:{port}", **oidc), PROBLEM, "discovery")


def test_mail(admit: Callable[..., Patient]) -> None:
    authority = trustme.CA()
    assert is_worst(configured.mail, admit(), SKIPPED)
    assert is_worst(configured.mail, admit(smtp_url="imap://mail"), PROBLEM, "smtp://")
    assert is_worst(configured.mail, admit(smtp_url="smtp://127.0.0.1:1"), PROBLEM, "not reached", "firewall")
    with receiving_mails(authority, "none") as server:
        assert is_worst(configured.mail, admit(smtp_url=f"smtp://127.0.0.1:{server.port}"), PROBLEM, "STARTTLS")
        assert is_worst(configured.mail, admit(smtp_url=f"smtp://127.0.0.1:{server.port}?tls=none"), GOOD)
    with receiving_mails(authority, "starttls") as server:
        assert is_worst(configured.mail, admit(smtp_url=f"smtp://127.0.0.1:{server.port}"), PROBLEM, "TLS", "authority")


def test_folders_and_disk(admit: Callable[..., Patient], tmp_path: Path) -> None:
    patient, folder = admit(), tmp_path / "spool"
    assert is_worst(machine.permissions, patient, WARNING, "not there yet")
    folder.write_text("a file")
    assert is_worst(machine.permissions, patient, PROBLEM, "no folder")
    folder.unlink()
    folder.mkdir(mode=0o755)
    assert is_worst(machine.permissions, patient, PROBLEM, "0755", f"chmod 700 {folder}")
    folder.chmod(0o700)
    assert is_worst(machine.permissions, patient, GOOD)
    if os.geteuid():
        folder.chmod(0o500)
        assert is_worst(machine.permissions, patient, PROBLEM, "cannot be written", "chown")
        folder.chmod(0o700)
    assert is_worst(machine.room, patient, GOOD)
    assert is_worst(machine.room, admit(disk_reserve_bytes=10**18), PROBLEM, "METRIST_RAW_RETENTION_DAYS")
    assert worst(machine.open_files, patient).level in (GOOD, WARNING)


def test_the_port(admit: Callable[..., Patient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert is_worst(machine.port, admit(port=port), GOOD, "does not run")
    with answering(200, b"It works!") as port:
        assert is_worst(machine.port, admit(port=port), PROBLEM, "something else", "METRIST_PORT")
    with answering(200, b'{"status":"ok"}') as port:
        runs = admit(port=port)
        assert is_worst(machine.port, runs, GOOD, "Metrist listens") and runs.seen["runs"]


def test_redis(admit: Callable[..., Patient], own_valkey: Valkey) -> None:
    patient = admit(redis_url=own_valkey.url)
    assert is_worst(stores.redis, patient, GOOD)
    for setting, wrong, level, remedy in (
        ("appendonly", "no", WARNING, "set appendonly yes"),
        ("maxmemory-policy", "allkeys-lru", PROBLEM, "set maxmemory-policy noeviction"),
    ):
        patient.redis.config_set(setting, wrong)
        assert is_worst(stores.redis, patient, level, remedy)
    patient.redis.config_set("maxmemory-policy", "noeviction")
    patient.redis.config_set("appendonly", "yes")
    patient.redis.config_set("maxmemory", int(patient.redis.info()["used_memory"] * 1.01))
    assert is_worst(stores.redis, admit(redis_url=own_valkey.url), PROBLEM, "raise maxmemory")


def test_clickhouse(
    admit: Callable[..., Patient], clickhouse_server: Server, clickhouse_database: str, sqlite_control: Engine
) -> None:
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    url = f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}"
    control = sqlite_control.url.render_as_string(hide_password=False)
    patient = admit(clickhouse_url=url, database_url=control)
    assert is_worst(stores.clickhouse, patient, GOOD)
    assert worst(stores.clickhouse_rights, patient).level in (GOOD, SKIPPED)
    assert is_worst(stores.migrations, patient, PROBLEM, "metrist migrate")
    assert is_worst(stores.clickhouse_windows, patient, PROBLEM, "metrist migrate")
    clickhouse = ClickHouse(url)
    migrate.upgrade(clickhouse, patient.settings)
    assert is_worst(stores.migrations, patient, GOOD)
    assert is_worst(stores.clickhouse_windows, patient, GOOD)
    clickhouse.command("ALTER TABLE samples_1m MODIFY SETTING non_replicated_deduplication_window = 0")
    assert is_worst(
        stores.clickhouse_windows, patient, PROBLEM, "counts twice", "ALTER TABLE samples_1m MODIFY SETTING"
    )
    assert worst(stores.clickhouse_room, patient).level in (GOOD, WARNING)
    full = admit(clickhouse_url=url, disk_reserve_bytes=10**18)
    assert is_worst(stores.clickhouse_room, full, PROBLEM, "samples are refused")
    clickhouse.close()


def test_clocks(admit: Callable[..., Patient], valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = admit(redis_url=valkey.url, clickhouse_url="http://127.0.0.1:1/default")
    assert is_worst(stores.clocks, patient, SKIPPED)
    real = time.time
    monkeypatch.setattr(stores.time, "time", lambda: real() - 10)  # type: ignore[attr-defined]
    assert is_worst(stores.clocks, patient, PROBLEM, "10.0 s ahead", "NTP")


def test_what_runs(admit: Callable[..., Patient], valkey: Valkey, redis_sync: redis.Redis, tmp_path: Path) -> None:
    patient = admit(redis_url=valkey.url)
    redis_sync.delete(keys.AUDIT, keys.process_alive("worker"), keys.process_alive("scheduler"))
    assert is_worst(running.background, patient, SKIPPED)
    patient.seen["runs"] = True
    redis_sync.set(keys.process_alive("worker"), 1)
    assert is_worst(running.background, patient, PROBLEM, "no scheduler", "metrist scheduler")
    assert is_worst(running.rollups, patient, SKIPPED)
    found = Difference("an-account", 1_763_510_400, "1m", 10, 9)
    audits.record(redis_sync, Audit(1_763_510_400, time.time(), 1, 1, 24, 100, 1, (found,)))
    assert is_worst(running.rollups, patient, PROBLEM, "an-account", "10 and 9 samples", "rollup_differs")
    assert is_worst(running.queues, patient, GOOD)
    segments = tmp_path / "spool" / "00"
    (segments / "refused").mkdir(parents=True)
    assert is_worst(running.spool, patient, GOOD)
    (segments / "refused" / "a.ndjson").write_text("{")
    assert is_worst(running.spool, patient, WARNING, "could not read")
    (segments / f"{int(time.time() - 500) * 1000}-a.ndjson").write_text("{}")
    assert is_worst(running.spool, patient, PROBLEM, "segment_waits")
    assert is_worst(running.backups, patient, WARNING, "METRIST_BACKUP_DIR")
    assert is_worst(running.backups, admit(backup_dir=tmp_path / "none"), PROBLEM, "metrist backup")
    redis_sync.delete(keys.AUDIT, keys.process_alive("worker"))


def test_stores_that_are_away_are_found_one_by_one(tmp_path: Path) -> None:
    """The command as an operator types it: nothing answers, and nothing of it is a traceback."""
    settings = {
        "METRIST_CLICKHOUSE_URL": "http://metrist:hidden-word@127.0.0.1:1/default",
        "METRIST_REDIS_URL": "redis://:hidden-word@127.0.0.1:1/0",
        "METRIST_DATABASE_URL": f"sqlite:///{tmp_path}/missing/control.db",
        "METRIST_PORT": "1",
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("METRIST_")} | settings
    command = [sys.executable, "-P", "-m", "metrist", "doctor", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert {one["check"] for one in told["findings"]} == set(checks.CHECKS)
    problems = {one["check"]: one for one in told["findings"] if one["level"] == "problem"}
    assert set(problems) == {"control DB", "ClickHouse", "Redis"}, "and what needs them is passed over"
    assert problems["Redis"]["remedy"] == "start it, or mend METRIST_REDIS_URL"
    assert told["problems"] == sum(one["level"] == "problem" for one in told["findings"])
    assert "hidden-word" not in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
