"""chDB, ClickHouse in this process: its one directory, its connections and their settings."""

import fcntl
import importlib.util
import itertools
import json
import os
import re
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from domain.errors import StartRefused
from metrist.engine.errors import EngineError, from_chdb

ALLOCATOR = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0"
"""Gives memory back a second after it was freed: 227 MB when idle after an insert of 3 M rows, 305 MB without."""

CONFIG = """<clickhouse>
    <!-- Written by `metrist engine` at each start: bounds that suit one machine shared with others. -->
    <mark_cache_size>268435456</mark_cache_size>
    <primary_index_cache_size>268435456</primary_index_cache_size>
    <compiled_expression_cache_size>33554432</compiled_expression_cache_size>
    <index_mark_cache_size>67108864</index_mark_cache_size>
</clickhouse>
"""

BASELINE = {
    # chDB's own defaults that a server does not have
    "implicit_select": "0",
    "allow_introspection_functions": "0",
    # 0.2 ms less for a small result; large ones are not slower on few cores
    "output_format_parallel_formatting": "0",
    # The windows of graphs and conditions move, so what it remembers of a WHERE is hardly ever asked for again, and 230
    # bytes of memory for each part and question add up to 60 MB before its bound is met
    "use_query_condition_cache": "0",
}

STATE = b"""SELECT currentDatabase(), groupArray((name, value)) FROM system.settings WHERE changed
FORMAT JSONCompactEachRow"""
"""What a session has set, in one row, because it may have set max_result_rows."""

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


@dataclass(frozen=True)
class Stats:
    """What a statement did: rows and bytes read from tables, written to them, and answered."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0

    @staticmethod
    def of(result: Any) -> "Stats":
        """Take them from a result of chDB."""
        return Stats(
            result.storage_rows_read(),
            result.storage_bytes_read(),
            result.rows_written(),
            result.bytes_written(),
            result.rows_read(),
        )

    def __add__(self, other: "Stats") -> "Stats":
        return Stats(
            self.read_rows + other.read_rows,
            self.read_bytes + other.read_bytes,
            self.written_rows + other.written_rows,
            self.written_bytes + other.written_bytes,
            self.result_rows + other.result_rows,
        )


def load() -> ModuleType:
    """Load chDB's library alone: `import chdb` takes 0.55 s and 50 MB more, for numpy and pyarrow."""
    os.environ.setdefault("JE_MALLOC_CONF", ALLOCATOR)
    package = importlib.util.find_spec("chdb")
    if package is None or not package.submodule_search_locations:
        raise StartRefused("chDB is not installed: pip install chdb-core")
    file = Path(package.submodule_search_locations[0]) / "_chdb.abi3.so"
    spec = importlib.util.spec_from_file_location("chdb._chdb", file)
    if spec is None or spec.loader is None:
        raise StartRefused(f"chDB cannot be loaded from {file}")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    return library


class Directory:
    """chDB's data directory, opened by this process; one process at a time can."""

    def __init__(self, path: Path) -> None:
        """Open it, made when missing. Raises StartRefused when another process has it."""
        if {"?", "&", "%"} & set(str(path.resolve())):
            raise StartRefused(f"chDB cannot open {path}: its name may have no ?, & and %")
        path.mkdir(parents=True, exist_ok=True)
        _refuse_second(path)
        config = path / "config.xml"
        config.write_text(CONFIG)
        self.path = path
        # chDB would otherwise read whatever config.xml lies in the current directory
        self._address = f"{path.resolve()}?config-file={config.resolve()}"
        self._library = load()
        self.program = str(Path(self._library.__file__ or "").resolve())
        try:
            self._anchor = self._library.connect(self._address)
        except RuntimeError as error:
            raise StartRefused(f"chDB cannot open {path}: {from_chdb(error).text}") from None
        self.version, self.timezone = self.ask("SELECT version(), timezone()").split("\t")
        self._asking = threading.Lock()
        self._numbers = itertools.count(1)

    def connect(self) -> "Connection":
        """A session of its own: settings and current database are nobody else's."""
        return Connection(self._library.connect(self._address), f"connection-{next(self._numbers)}")

    def ask(self, sql: str) -> str:
        """One line from a connection that serves no client."""
        return bytes(self._anchor.query(sql, "TabSeparated").bytes()).decode().rstrip("\n")

    def kill(self, mark: str) -> None:
        """Stop what runs on the connection so marked: chDB takes no query ids from us, but shows settings."""
        with self._asking, suppress(RuntimeError):
            self.ask(f"KILL QUERY WHERE Settings['log_comment'] = {_quote(mark)} ASYNC")

    def close(self) -> None:
        """Close the last connection: chDB flushes and lets the directory go."""
        self._anchor.close()


def _refuse_second(path: Path) -> None:
    """chDB locks `status` itself, but tells of it on stderr only."""
    status = path / "status"
    if not status.exists():
        return
    with status.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = re.search(r"PID: (\d+)", file.read())
            who = f" (process {owner.group(1)})" if owner else ""
            raise StartRefused(f"another engine has {path} open{who}; stop it first") from None


class Connection:
    """One session of chDB, which remembers what was set in it, so that nothing leaks into the next request."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._chdb = connection
        self._mark = mark
        self._home = "default"
        self._database = "default"
        self._applied: dict[str, str] = {}
        self._running = threading.Lock()
        self._is_inside = False
        self.is_spoilt = False
        self._base: dict[str, str] = {**BASELINE, "log_comment": mark}
        self._set(self._base)

    def suits(self, database: str, settings: Mapping[str, str]) -> bool:
        """Nothing has to be set before such a request."""
        return self._applied == settings and self._database == (database or self._home)

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        """Make this session what a request asks for: exactly these settings on top of the base. Raises EngineError."""
        if self._applied != settings:
            gone = self._applied.keys() - settings.keys()
            new = {name: value for name, value in settings.items() if self._applied.get(name) != value}
            self._set({name: self._base.get(name) for name in gone} | new)
            self._applied = dict(settings)
        wanted = database or self._home
        if wanted != self._database:
            self.query(f"USE {_quote(wanted, '`')}".encode())
            self._database = wanted

    def rebase(self) -> None:
        """Take what the client has set in its session as the base of its later requests."""
        database, changed = json.loads(bytes(self.query(STATE).bytes()))
        self._home = self._database = database
        self._base, self._applied = dict(changed), {}

    def query(self, sql: bytes, fmt: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Any:
        """Run a statement to its end. Raises EngineError."""
        with self._watched():
            return self._chdb.query(sql, fmt, params=params or {})

    def stream(self, sql: bytes, fmt: str, params: Mapping[str, str]) -> Generator[Any, None, None]:
        """Run a SELECT block by block: each result is complete in its format by itself. Raises EngineError."""
        with self._watched():
            stream = self._chdb.send_query(sql, fmt, params=params)
        ended = False
        try:
            while not ended:
                with self._watched():
                    block = self._chdb.streaming_fetch_result(stream)
                if ended := not block.size():
                    return
                yield block
        finally:
            if not ended:
                with suppress(RuntimeError):
                    self._chdb.streaming_cancel_query(stream)

    def kill(self, directory: Directory) -> None:
        """Stop what runs here now, if anything; from any thread."""
        with self._running:
            if self._is_inside:
                directory.kill(self._mark)

    def close(self) -> None:
        """Give the session up."""
        self._chdb.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Say that a statement runs. A kill holds the lock, so it cannot hit the one that comes next."""
        with self._running:
            self._is_inside = True
        try:
            yield
        except (RuntimeError, UnicodeDecodeError) as error:
            raise from_chdb(error) from None
        finally:
            with self._running:
                self._is_inside = False

    def _set(self, values: Mapping[str, str | None]) -> None:
        """One SET for all; None is the default. Half applied is worse than not: then nobody may have this session."""
        if bad := [name for name in values if not _SETTING.fullmatch(name)]:
            raise EngineError(115, "UNKNOWN_SETTING", f"Unknown setting '{bad[0]}'")
        changes = (f"{name} = {'DEFAULT' if value is None else _quote(value)}" for name, value in values.items())
        try:
            if values:
                self.query(f"SET {', '.join(changes)}".encode())
        except EngineError:
            self.is_spoilt = True
            raise


def _quote(text: str, mark: str = "'") -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark
