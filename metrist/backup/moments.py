"""What a backup says of one moment: its manifest, and how that lies on disk.

A manifest is JSON in `moments/`. Its name ends with the digest of its own text, so that a flipped bit shows there, too.
"""

import hashlib
from datetime import datetime

import msgspec

FORMAT = 1
"""Of the manifests; a backup of a newer one is refused."""
SUFFIX = ".json"
_DIGITS = 16


class Object(msgspec.Struct, frozen=True):
    """A file below `objects/`: its name is its SHA-256."""

    sha256: str
    bytes: int


class File(msgspec.Struct, frozen=True):
    """One file of the platform: the objects whose contents follow each other; `packed` ones are zstd."""

    name: str
    bytes: int
    objects: tuple[Object, ...]
    packed: bool = True


class Part(msgspec.Struct, frozen=True):
    """An immutable piece of a ClickHouse table.

    digest   the engine's own, of all its files: the same part is copied once
    form     "files": a tar of the part as it lies on disk; "rows": its rows in format Native, zstd
    """

    name: str
    partition: str
    digest: str
    rows: int
    form: str
    object: Object


class Table(msgspec.Struct, frozen=True):
    """A ClickHouse table, and the statement that makes it, without its database's name."""

    name: str
    engine: str
    sql: str
    parts: tuple[Part, ...] = ()

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


class Moment(msgspec.Struct, frozen=True):
    """Everything as of `taken_at`: what was acknowledged before is in `tables` or in `spool`, and in one of them only.

    control    a SQLite file at `revision`, whichever database it came from
    spool      acknowledged snapshots that were not in ClickHouse
    private    the operator's secrets, as files
    held_s     for how long INSERTs waited
    """

    taken_at: datetime
    release: str
    clickhouse: str
    revision: str
    held_s: float
    control: File
    tables: tuple[Table, ...]
    spool: tuple[File, ...]
    private: tuple[File, ...]
    format: int = FORMAT

    @property
    def id(self) -> str:
        """What it is called: 20261123T174012.345Z."""
        return f"{self.taken_at.strftime('%Y%m%dT%H%M%S.%f')[:-3]}Z"

    def objects(self) -> dict[str, Object]:
        """All that it consists of, by digest."""
        files = (self.control, *self.spool, *self.private)
        found = [each for file in files for each in file.objects]
        found += [part.object for table in self.tables for part in table.parts]
        return {each.sha256: each for each in found}

    @property
    def has_files(self) -> bool:
        """Whether ClickHouse's own files are in it, which only the embedded one can be given."""
        return any(part.form == "files" for table in self.tables for part in table.parts)

    @property
    def bytes(self) -> int:
        """What it needs on disk, shared objects counted once."""
        return sum(each.bytes for each in self.objects().values())


def encode(moment: Moment) -> tuple[str, bytes]:
    """A manifest's file name and text."""
    text = msgspec.json.format(msgspec.json.encode(moment), indent=1)
    return f"{moment.id}-{_digest(text)}{SUFFIX}", text


def decode(name: str, text: bytes) -> Moment | None:
    """The moment; None for a text that is not what its name says."""
    if not name.endswith(f"-{_digest(text)}{SUFFIX}"):
        return None
    try:
        return msgspec.json.decode(text, type=Moment)
    except msgspec.MsgspecError:
        return None


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_DIGITS]
