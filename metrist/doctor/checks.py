"""The table of checks, and how they are gone through."""

from collections.abc import Callable, Iterator

from domain.errors import MetristError
from metrist.doctor import configured, machine, running, stores
from metrist.doctor.finding import Finding, problem, skipped
from metrist.doctor.patient import Patient

Check = Callable[[Patient], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "addresses": configured.addresses,
    "public address": configured.public_address,
    "secret key": configured.secret_key,
    "sign-in": configured.sign_in,
    "mail": configured.mail,
    "folders": machine.permissions,
    "disk": machine.room,
    "open files": machine.open_files,
    "port": machine.port,
    "control DB": stores.control,
    "ClickHouse": stores.clickhouse,
    "ClickHouse's user": stores.clickhouse_rights,
    "repetitions": stores.clickhouse_windows,
    "ClickHouse's disk": stores.clickhouse_room,
    "Redis": stores.redis,
    "migrations": stores.migrations,
    "clocks": stores.clocks,
    "background": running.background,
    "queues": running.queues,
    "spool": running.spool,
    "rollups": running.rollups,
    "backups": running.backups,
}
"""In this order: `port` finds out whether we run, which others go by."""
NEEDS: dict[str, tuple[str, ...]] = {
    "ClickHouse's user": ("ClickHouse",),
    "repetitions": ("ClickHouse",),
    "ClickHouse's disk": ("ClickHouse",),
    "migrations": ("ClickHouse", "control DB"),
    "clocks": ("control DB",),
    "background": ("Redis",),
    "queues": ("Redis",),
    "rollups": ("Redis",),
}
"""What a check asks; where that did not answer, one finding says so and not ten."""


def examine(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Every finding under the name of its check. A check that cannot be finished is a finding, too."""
    away: set[str] = set()
    for name, check in CHECKS.items():
        if missing := away.intersection(NEEDS.get(name, ())):
            yield name, skipped(f"{' and '.join(sorted(missing))} did not answer")
            continue
        try:
            for finding in check(patient):
                yield name, finding
        except Exception as error:  # whatever a store does to us is what we came to find out
            away.add(name)
            yield name, _broken(name, error)


def _broken(name: str, error: Exception) -> Finding:
    said = " ".join(str(error).split())[:200]
    detail = error.detail if isinstance(error, MetristError) else f"{type(error).__name__}: {said}"
    return problem(detail, _REMEDIES.get(name, "look whether it runs, and at its address"))


_REMEDIES = {
    "control DB": "start it, or mend METRIST_DATABASE_URL",
    "ClickHouse": "start it, or mend METRIST_CLICKHOUSE_URL",
    "Redis": "start it, or mend METRIST_REDIS_URL",
}
