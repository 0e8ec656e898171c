"""Checks of this machine: folders, disks, files that may be open, the port."""

import errno
import os
import resource
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx

from metrist.doctor.finding import Finding, good, problem, warning
from metrist.doctor.patient import WITHIN_S, Patient

FILES_LEAST = 10_000
INODES_LEAST = 10_000
MANY = 1_048_576
_OPEN_TO_OTHERS = 0o077


def permissions(patient: Patient) -> Iterator[Finding]:
    """The data directory and the spool are ours to write, and nobody else's to read."""
    folders = {"data directory": patient.data.root} if patient.data else {}
    for name, folder in {**folders, "spool": patient.settings.spool_dir}.items():
        yield _folder(name, folder)


def room(patient: Patient) -> Iterator[Finding]:
    """Free space and inodes where the spool is."""
    folder = _existing(patient.settings.spool_dir.absolute())
    usage = os.statvfs(folder)
    free, reserve = usage.f_bavail * usage.f_frsize, patient.settings.disk_reserve_bytes
    if free < reserve:
        yield problem(
            f"{_mib(free)} are free on the disk of {folder}, less than METRIST_DISK_RESERVE_BYTES: samples are refused",
            "free some, or keep samples for a shorter time (METRIST_RAW_RETENTION_DAYS)",
        )
    elif free < 4 * reserve:
        yield warning(f"{_mib(free)} are free on the disk of {folder}", "free some before samples are refused")
    else:
        yield good(f"{_mib(free)} are free on the disk of {folder}")
    if usage.f_files and usage.f_favail < INODES_LEAST:
        yield problem(f"{usage.f_favail} inodes are free on the disk of {folder}", "delete what has many small files")


def open_files(patient: Patient) -> Iterator[Finding]:
    """How many connections a process may have: each agent is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = "any number of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    if hard != resource.RLIM_INFINITY and hard < FILES_LEAST:
        yield warning(
            f"a process may have {told} files and connections open, each agent needs one",
            "raise it: LimitNOFILE= in the unit, ulimits in compose, or `ulimit -Hn`",
        )
    else:
        yield good(f"a process may have {told} files and connections open")


def port(patient: Patient) -> Iterator[Finding]:
    """Where we listen: ours, or free. What is found is kept as `runs`."""
    host, number = patient.settings.host, patient.settings.port
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    patient.seen["runs"] = False
    try:
        socket.create_connection((asked, number), timeout=WITHIN_S).close()
    except ConnectionRefusedError:
        yield good(f"nothing listens on {host}:{number}; Metrist does not run here just now")
        return
    except OSError as error:
        yield warning(f"{host}:{number} cannot be asked: {error}", "mend METRIST_HOST and METRIST_PORT")
        return
    shown = f"[{asked}]" if ":" in asked else asked
    try:
        told = httpx.get(f"http://{shown}:{number}/healthz", timeout=WITHIN_S, trust_env=False).text
    except httpx.HTTPError as error:
        told = type(error).__name__
    if told == '{"status":"ok"}':
        patient.seen["runs"] = True
        yield good(f"Metrist listens on {host}:{number}")
    else:
        yield problem(f"something else listens on {host}:{number}", "stop it, or set METRIST_PORT to another")


def _folder(name: str, folder: Path) -> Finding:
    try:
        seen = folder.stat()
    except FileNotFoundError:
        return warning(f"the {name} {folder} is not there yet", "it is made at the first start, by whoever starts it")
    except OSError as error:
        return problem(f"the {name} {folder} cannot be seen: {error.strerror}", f"chown it to {_user()}")
    wrong = _wrong(folder, seen)
    return problem(f"the {name} {folder} {wrong[0]}", wrong[1]) if wrong else good(f"the {name} {folder} is ours alone")


def _wrong(folder: Path, seen: os.stat_result) -> tuple[str, str] | None:
    """What is wrong with a folder that is there, and the remedy."""
    if not stat.S_ISDIR(seen.st_mode):
        return "is no folder", "name another, or move the file away"
    if error := _write(folder):
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if is_full else f"chown it to {_user()}"
        return f"cannot be written: {error.strerror}", remedy
    if seen.st_mode & _OPEN_TO_OTHERS:
        return f"can be read by others (mode {stat.S_IMODE(seen.st_mode):04o})", f"chmod 700 {folder}"
    if os.geteuid() not in (0, seen.st_uid):
        return "belongs to another user", f"run this as its owner, or chown it to {_user()}"
    return None


def _write(folder: Path) -> OSError | None:
    """Try to write there; the error it gives, if any."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
            file.flush()
    except OSError as error:
        return error
    return None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _user() -> str:
    return f"user {os.geteuid()}"


def _mib(size: int) -> str:
    return f"{size // MANY:,} MiB"
