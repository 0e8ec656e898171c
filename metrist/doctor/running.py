"""Checks of what runs: workers, the spool, the nightly audit, backups."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from domain.readiness import QUEUE_OLDEST_S, SPOOL_OLDEST_S
from metrist.backup.repository import Repository
from metrist.doctor.finding import Finding, good, problem, skipped, warning
from metrist.doctor.patient import Patient
from schema import audits, keys
from workers.queues import open_queues

BACKGROUND: Final = ("worker", "scheduler")
BACKUP_OLDEST_S: Final = 2 * 86_400
AUDIT_OLDEST_S: Final = 2 * 86_400


def background(patient: Patient) -> Iterator[Finding]:
    """Worker and scheduler show that they live, while the API runs."""
    if not patient.seen.get("runs"):
        yield skipped("the API does not run here, so worker and scheduler need not")
        return
    for name in BACKGROUND:
        if patient.redis.exists(keys.process_alive(name)):
            yield good(f"a {name} lives")
        else:
            yield problem(f"no {name} has shown a sign of life", f"start `metrist {name}`, and look at its log")


def queues(patient: Patient) -> Iterator[Finding]:
    """Jobs do not wait long, and do not fail for good."""
    for queue in open_queues(patient.redis):
        found: list[Any] = queue.get_jobs(0, 1)
        since = found[0].enqueued_at if found else None
        waits_s = (datetime.now(UTC) - since.replace(tzinfo=UTC)).total_seconds() if since else 0.0
        failed = queue.failed_job_registry.count
        if waits_s >= QUEUE_OLDEST_S:
            yield problem(
                f"{queue.count} jobs wait in {queue.name}, the first for {waits_s:.0f} s",
                "run another `metrist worker`",
            )
        elif failed:
            yield warning(f"{failed} jobs of {queue.name} failed within the hour", "look for job_failed in its log")
        else:
            yield good(f"nothing waits long in {queue.name}")


def spool(patient: Patient) -> Iterator[Finding]:
    """What was acknowledged gets into ClickHouse, and nothing lies there that it cannot read."""
    folder, now_s = patient.settings.spool_dir, time.time()
    begun = [_begun_s(path) for pattern in ("*/*.ndjson", "*/*.open") for path in folder.glob(pattern)]
    waits_s = now_s - min(begun) if begun else 0.0
    if waits_s >= SPOOL_OLDEST_S and patient.seen.get("runs"):
        yield problem(
            f"{len(begun)} segments wait for ClickHouse, the oldest for {waits_s:.0f} s",
            "look for segment_waits in the log",
        )
    elif begun and not patient.seen.get("runs"):
        yield warning(f"{len(begun)} acknowledged segments wait in {folder}", "start Metrist, which inserts them first")
    else:
        yield good("what was acknowledged is in ClickHouse" if not begun else "the spool is being emptied")
    if refused := list(folder.glob("*/refused/*")):
        yield warning(
            f"{len(refused)} files in {folder}/*/refused hold batches that ClickHouse could not read",
            "look at them, and delete them; their agents were told that they are stored",
        )


def rollups(patient: Patient) -> Iterator[Finding]:
    """What came of the last nightly audit."""
    found = audits.last_sync(patient.redis)
    if found is None:
        yield skipped("rollups were not compared with raw samples yet; that is done each night")
        return
    day = datetime.fromtimestamp(found.day_s, UTC).date().isoformat()
    if found.differing:
        first = found.differences[0]
        hour = datetime.fromtimestamp(first.hour_s, UTC).strftime("%H:%M")
        yield problem(
            f"{found.differing} hours of {day} differ between raw samples and rollups, first {hour} of account "
            f"{first.account} in {first.tier}: {first.raw} and {first.rolled} samples",
            "look for rollup_differs in the worker's log; graphs of short ranges are right",
        )
    elif time.time() - found.ended_s > AUDIT_OLDEST_S:
        yield warning(f"rollups were last compared for {day}", "let worker and scheduler run")
    else:
        yield good(f"rollups of {day} are what {found.samples:,} raw samples say")


def backups(patient: Patient) -> Iterator[Finding]:
    """There is a backup of late, where METRIST_BACKUP_DIR says."""
    folder = patient.settings.backup_dir
    if folder is None:
        yield warning(
            "METRIST_BACKUP_DIR is not set: nobody knows of a backup", "set it to DEST of `metrist backup DEST`"
        )
        return
    moments = Repository(folder.absolute()).moments() if folder.is_dir() else ()
    if not moments:
        yield problem(f"there is no backup in {folder}", "run `metrist backup` each night")
        return
    newest = max(moment.taken_at for moment in moments)
    age_s = (datetime.now(UTC) - newest).total_seconds()
    told = f"the newest of {len(moments)} backups is of {newest:%Y-%m-%d %H:%M} UTC"
    yield good(told) if age_s < BACKUP_OLDEST_S else problem(told, "run `metrist backup` each night")


def _begun_s(path: Path) -> float:
    begun_ms, _, _ = path.name.partition("-")
    return int(begun_ms) / 1000 if begun_ms.isdigit() else path.stat().st_mtime
