"""The folder an agent keeps its state in, for itself alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4


class StateUnusable(Exception):
    """The agent cannot start; the message is the one line its owner reads."""


@dataclass(frozen=True)
class State:
    """What outlives the process."""

    instance: UUID
    buffer_dir: Path
    rejected_dir: Path
    monitors_dir: Path


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """The agent's state, locked for as long as the context lasts; raises StateUnusable.

    The kernel drops the lock when the process ends, however it ends.
    """
    buffer_dir, rejected_dir = folder / "buffer", folder / "rejected"
    try:
        for each in (folder, buffer_dir, rejected_dir):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise StateUnusable(f"the state folder {folder} cannot be used: {error.strerror}; give another one") from error
    with lock:
        _lock(lock, folder)
        yield State(_instance(folder / "instance"), buffer_dir, rejected_dir, folder / "monitors")


def _lock(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        raise StateUnusable(
            f"another agent (process {lock.read().strip() or 'unknown'}) uses the state folder {folder}; "
            "stop it, or give this one another folder or node name"
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _instance(path: Path) -> UUID:
    """This installation's id: random, made once, so that two machines with one name can be told apart."""
    try:
        return UUID(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):  # the first start, or a file cut short by a power loss
        instance = uuid4()
        new = path.with_suffix(".new")
        new.write_text(f"{instance}\n", encoding="ascii")
        new.replace(path)
        return instance
