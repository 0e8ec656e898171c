"""The machine that is backed up or restored: where its stores are, and an engine of our own where none runs."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from domain.errors import StartRefused
from domain.settings import Settings
from metrist import embedded, health, pieces
from metrist.datadir import LOOPBACK, DataDir, hold
from metrist.embedded import Embedded, Store
from metrist.environment import is_set, read_settings
from metrist.supervisor import Supervisor

T = TypeVar("T")
_OURS = frozenset({"lock"})
_STARTS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Machine:
    """Settings with the address of every store.

    data         the folder of a `metrist up`; None where each store has its own
    has_engine   ClickHouse is the embedded one, whose files are ours
    """

    settings: Settings
    data: DataDir | None
    has_engine: bool = False


def at_work(data: Path | None, work: Callable[[Machine], T]) -> T:
    """Do something with a platform's stores, running or not. Raises StartRefused.

    data  the folder of a `metrist up`; None: ./data, if there is one and the environment names no control DB
    """
    settings = read_settings()
    directory = DataDir((data or Path("data")).resolve())
    if data is None and (is_set(settings, "database_url") or not directory.control_db.exists()):
        return work(Machine(settings, None))
    if not directory.control_db.exists():
        raise StartRefused(f"{directory.root} is no data directory of a `metrist up`")
    known = embedded.last(settings, directory)
    with contextlib.ExitStack() as held:
        if known.engine is None or not _holds(directory, known.engine, held):
            return work(Machine(_told(settings, directory, known), directory, known.engine is not None))
        return _with_engine(settings, directory, work)


def _holds(data: DataDir, engine: Store, held: contextlib.ExitStack) -> bool:
    """Whether nobody runs it, so that we must; one that is just starting, or has lost its engine, is waited for."""
    until = time.monotonic() + _STARTS_WITHIN_S
    while not asyncio.run(_answers(engine)):
        try:
            held.enter_context(hold(data.root))
        except StartRefused:
            if data.restoring.exists() or time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return True
    return False


def made(data: Path | None, work: Callable[[Machine], None]) -> None:
    """Make a platform's stores in an empty folder, or in the stores that the environment names. Raises StartRefused.

    What was begun in the folder and failed is removed; what was killed is refused by `metrist up`.
    """
    settings = read_settings()
    if data is None and all(is_set(settings, name) for name in ("clickhouse_url", "database_url")):
        work(Machine(settings, None))
        return
    with hold((data or Path("data")).resolve(), restores=True) as held:
        _refuse_used(held)
        held.restoring.touch(mode=0o600)
        try:
            _with_engine(settings, held, work)
        except BaseException:
            _empty(held)
            raise
        held.restoring.unlink()


async def _answers(engine: Store) -> bool:
    return await health.http(LOOPBACK, engine.port, "/ping")()


def _with_engine(settings: Settings, data: DataDir, work: Callable[[Machine], T]) -> T:
    os.umask(0o077)
    brought = embedded.embed(settings, data)
    return asyncio.run(_run(Machine(_told(settings, data, brought), data, brought.engine is not None), brought, work))


async def _run(machine: Machine, brought: Embedded, work: Callable[[Machine], T]) -> T:
    assert machine.data is not None
    supervisor = Supervisor(machine.data.root)
    try:
        if brought.engine is not None:
            url = machine.settings.clickhouse_url.get_secret_value()
            env = {**os.environ, "METRIST_CLICKHOUSE_URL": url}
            await supervisor.start(pieces.engine(machine.data, brought.engine, env))
        return await asyncio.to_thread(work, machine)
    finally:
        await supervisor.stop(pieces.STOP_ORDER)


def _told(settings: Settings, data: DataDir, known: Embedded) -> Settings:
    """What the pieces of a `metrist up` are told, as settings."""
    told = embedded.variables(settings, data, known)
    names = ("clickhouse_url", "redis_url", "database_url", "spool_dir")
    return read_settings(**{name: told.get(f"METRIST_{name.upper()}") for name in names})


def _refuse_used(data: DataDir) -> None:
    if data.restoring.exists():
        raise StartRefused(f"{data.root} holds a restore that was cut off: remove it, and restore again")
    used = {path.name for path in data.root.iterdir()} - _OURS
    if used:
        raise StartRefused(f"{data.root} is not empty, it has {min(used)}: name an empty folder with --data")


def _empty(data: DataDir) -> None:
    for path in data.root.iterdir():
        if path.name not in _OURS:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
