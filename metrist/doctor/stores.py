"""Checks of the stores: reached, able, set as we need them, up to date, of one time."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError
from sqlalchemy import text

from domain.errors import MetristError, StartRefused
from domain.readiness import CLOCK_APART_S
from metrist.doctor.finding import Finding, good, problem, skipped, warning
from metrist.doctor.patient import Patient
from schema import migrate as clickhouse_migrate
from schema.clickhouse_client import ClickHouseError
from schema.control import migrate as control_migrate
from schema.samples import INSERT_SETTINGS

POSTGRES_LEAST: Final = 13
CLICKHOUSE_LEAST: Final = (25, 10)
"""The first whose ALP codec our tables can use."""
REDIS_LEAST: Final = (7, 0)
"""The first whose SET takes NX and GET together."""
MEMORY_MOST: Final = 0.9
TABLES: Final = ("samples", "samples_1m", "samples_1h")
RIGHTS: Final = "SELECT, INSERT, ALTER, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, SHOW"


def control(patient: Patient) -> Iterator[Finding]:
    """The control DB: reached, new enough, and for SQLite able to be read while it is written."""
    with patient.control.connect() as connection:
        if patient.control.dialect.name == "sqlite":
            mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
            broken = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
            if broken != "ok":
                yield problem(
                    f"the control DB is damaged: {broken}", "stop everything, and restore the last good backup"
                )
            elif mode != "wal":
                yield warning(f"the control DB's journal is {mode}", "let it lie on a local disk, where WAL works")
            else:
                yield good("the control DB (SQLite) is whole")
            return
        number = int(str(connection.execute(text("SHOW server_version_num")).scalar_one()))
        if number < POSTGRES_LEAST * 10_000:
            yield problem(f"PostgreSQL is {number // 10_000}", f"use {POSTGRES_LEAST} or newer")
        else:
            yield good(f"the control DB (PostgreSQL {number // 10_000}) answers")


def clickhouse(patient: Patient) -> Iterator[Finding]:
    """ClickHouse: reached and new enough."""
    version = str(patient.once("clickhouse", lambda: patient.clickhouse.command("SELECT version()")))
    if _numbers(version) < CLICKHOUSE_LEAST:
        yield problem(f"ClickHouse is {version}", f"use {'.'.join(map(str, CLICKHOUSE_LEAST))} or newer")
    else:
        yield good(f"ClickHouse {version} answers")


def clickhouse_rights(patient: Patient) -> Iterator[Finding]:
    """What its user may do and set."""
    ask = patient.clickhouse.command
    if patient.has_embedded_engine:
        yield skipped("the embedded ClickHouse has one user, who may do everything")
    else:
        database = patient.clickhouse.database
        try:
            is_granted = str(ask(f"CHECK GRANT {RIGHTS} ON `{database}`.*")) == "1"
        except ClickHouseError as error:
            yield skipped(f"ClickHouse does not tell what its user may do: {_short(error)}")
        else:
            remedy = f"GRANT {RIGHTS} ON {database}.* TO the user of METRIST_CLICKHOUSE_URL"
            yield (
                good("its user may do what we need")
                if is_granted
                else problem("its user may not do all we need", remedy)
            )
    try:
        ask("SELECT 1", settings=dict(INSERT_SETTINGS))
    except ClickHouseError as error:
        yield problem(
            f"ClickHouse refuses settings that INSERTs need: {_short(error)}",
            "take `readonly` and constraints on these settings from the user's profile",
        )
    else:
        yield good("INSERTs may have the settings that make a repetition count once")


def clickhouse_windows(patient: Patient) -> Iterator[Finding]:
    """The tables remember the tokens of INSERTs, without which a repeated one counts twice."""
    for table in TABLES:
        try:
            ddl = str(patient.clickhouse.command(f"SHOW CREATE TABLE {table}"))
        except ClickHouseError as error:
            yield problem(f"table {table} cannot be seen: {_short(error)}", "run `metrist migrate`")
            continue
        name = "replicated_deduplication_window" if "Replicated" in ddl else "non_replicated_deduplication_window"
        _, _, rest = ddl.partition(f"{name} = ")
        window = int(rest.split(",")[0].split()[0].rstrip("\\n,;")) if rest else ("Replicated" in ddl)
        if window:
            yield good(f"{table} remembers INSERTs, so that a repetition counts once")
        else:
            yield problem(
                f"{table} remembers no INSERT: one that is repeated counts twice",
                f"ALTER TABLE {table} MODIFY SETTING {name} = 10000",
            )


def clickhouse_room(patient: Patient) -> Iterator[Finding]:
    """Free space on ClickHouse's disks, and parts of one partition."""
    reserve = patient.settings.disk_reserve_bytes
    rows = patient.clickhouse.query("SELECT name, unreserved_space, total_space FROM system.disks").result_rows
    for name, free, total in rows:
        if free < reserve:
            yield problem(
                f"ClickHouse's disk {name} has {free >> 20:,} MiB free: samples are refused",
                "free some, or keep samples for a shorter time",
            )
        elif total and free < total * 0.1:
            yield warning(
                f"ClickHouse's disk {name} has {free >> 20:,} of {total >> 20:,} MiB free", "plan for a larger"
            )
        else:
            yield good(f"ClickHouse's disk {name} has {free >> 20:,} MiB free")


def redis(patient: Patient) -> Iterator[Finding]:
    """Redis: reached, new enough, and forgets nothing by itself."""
    told: dict[str, Any] = patient.once("redis", patient.redis.info)
    version = str(told.get("redis_version", "0"))
    if _numbers(version) < REDIS_LEAST:
        yield problem(f"Redis is {version}", f"use {'.'.join(map(str, REDIS_LEAST))} or newer, or Valkey")
    else:
        yield good(f"{'Valkey' if 'valkey_version' in told else 'Redis'} {told.get('valkey_version', version)} answers")
    if told.get("aof_enabled") and told.get("aof_last_write_status") != "ok":
        yield problem("Redis could not write its log, and takes no more writes", "free space on its disk")
    yield from _policies(patient, told)


def migrations(patient: Patient) -> Iterator[Finding]:
    """Both databases have the tables of this release."""
    checks: dict[str, Callable[[], None]] = {
        "the control DB": lambda: control_migrate.check(patient.control),
        "ClickHouse": lambda: clickhouse_migrate.check(patient.clickhouse),
    }
    for name, check in checks.items():
        try:
            check()
        except StartRefused as error:
            yield problem(error.detail, "run `metrist migrate`, or the release that made it")
        else:
            yield good(f"{name} has the tables of this release")


def clocks(patient: Patient) -> Iterator[Finding]:
    """Our clock, and those of the stores."""
    asked: dict[str, Callable[[], float]] = {
        "ClickHouse": lambda: float(str(patient.clickhouse.command("SELECT toUnixTimestamp64Milli(now64(3)) / 1000"))),
        "Redis": lambda: _redis_clock_s(patient),
    }
    if patient.control.dialect.name == "postgresql":
        asked["PostgreSQL"] = lambda: _postgres_clock_s(patient)
    for name, ask in asked.items():
        began_s = time.time()
        try:
            told_s = ask()
        except (MetristError, ClickHouseError, RedisError, OSError):
            yield skipped(f"the clock of {name} cannot be asked")
            continue
        ahead_s = told_s - (began_s + time.time()) / 2
        if abs(ahead_s) >= CLOCK_APART_S:
            yield problem(
                f"the clock of {name} is {abs(ahead_s):.1f} s {'ahead' if ahead_s > 0 else 'behind'}",
                "run NTP (chrony, systemd-timesyncd) on both machines",
            )
        else:
            yield good(f"the clock of {name} is ours, within {max(0.01, abs(ahead_s)):.2f} s")


def _policies(patient: Patient, told: dict[str, Any]) -> Iterator[Finding]:
    try:
        found: dict[str, str] = patient.redis.config_get("maxmemory-policy", "appendonly")  # type: ignore[assignment]
    except ResponseError:
        yield skipped("Redis does not tell its configuration, as of a managed service: see to noeviction yourself")
        return
    policy, log = found.get("maxmemory-policy", ""), found.get("appendonly", "")
    if policy != "noeviction":
        yield problem(
            f"Redis may evict what it holds (maxmemory-policy {policy}): queued jobs and commands get lost",
            "set maxmemory-policy noeviction",
        )
    elif log != "yes":
        yield warning(
            "Redis forgets everything when it is restarted (appendonly no): liveness and queued jobs are made anew",
            "set appendonly yes",
        )
    else:
        yield good("Redis evicts nothing, and keeps a log of its writes")
    most, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    if most and used > most * MEMORY_MOST:
        yield problem(f"Redis uses {used >> 20} of {most >> 20} MiB, and refuses writes soon", "raise maxmemory")


def _redis_clock_s(patient: Patient) -> float:
    seconds, micros = patient.redis.time()
    return float(seconds) + float(micros) / 1_000_000


def _postgres_clock_s(patient: Patient) -> float:
    with patient.control.connect() as connection:
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
