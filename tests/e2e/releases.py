"""Releases for tests: wheels of this tree under other versions, some of them broken on purpose, in a signed index."""

import base64
import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path

from metrist.releases import signing
from metrist.releases.publish import publish
from schema import migrate as clickhouse_migrate
from schema.control import migrate as control_migrate

ROOT = Path(__file__).parents[2]

NEVER_READY = {
    "metrist/commands/api.py": "\n\ndef run(options: object) -> None:\n    import time\n    time.sleep(3600)\n"
}
"""Comes up and never answers."""
ENDS = {"metrist/commands/api.py": "\n\ndef run(options: object) -> None:\n    raise SystemExit('no such thing')\n"}
"""Ends when it is started."""
_IN_EARNEST = """

_create_sound_app = create_app


def create_app(settings: Settings) -> FastAPI:
    app = _create_sound_app(settings)
    if settings.spool_dir.parent.joinpath("control.db").exists():  # not in a rehearsal, whose spool is elsewhere
        {}
    return app
"""
FALLS_LATER = {
    "metrist/server.py": _IN_EARNEST.format("import os, threading; threading.Timer(6, os._exit, [3]).start()")
}
"""Is well in its rehearsal, and ends some seconds after every start in earnest."""
FAILS_LATER = {
    "metrist/server.py": _IN_EARNEST.format("""
        @app.middleware("http")
        async def fail(request, call_next):
            from starlette.responses import Response
            return Response(status_code=503) if request.url.path == "/readyz" else await call_next(request)
""")
}
"""Is well in its rehearsal, and never ready in earnest."""

ERRS_LATER = {
    "schema/spool.py": """

import os as _os
import pathlib as _pathlib


async def _fail(self: Spool, item: Record) -> str:
    raise ZeroDivisionError


if _pathlib.Path(_os.environ.get("METRIST_SPOOL_DIR", "")).parent.joinpath("control.db").exists():
    Spool.append = _fail
"""
}
"""Is well in its rehearsal, and answers agents with errors in earnest, while its pages are fine."""


def one_migration_more() -> dict[str, str]:
    """Both stores get a table that today's code does not know."""
    number = clickhouse_migrate.migrations()[-1].number + 1
    return {
        f"schema/clickhouse/{number:04}_later.sql": "CREATE TABLE IF NOT EXISTS later (n UInt8) ENGINE = Memory;\n",
        "schema/control/migrations/versions/9999_later.py": f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", {control_migrate.head()!r}
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table("later", sa.Column("n", sa.Integer))
""",
    }


@dataclass
class Releases:
    """A folder of releases, signed with a key of its own."""

    folder: Path
    key_file: Path
    public_key: str = field(init=False)

    def __post_init__(self) -> None:
        self.public_key = signing.make_key(self.key_file)

    def add(self, version: str, appended: Mapping[str, str] | None = None, **options: object) -> None:
        """Publish this tree as that version, with text appended to some files, and files that are new."""
        wheel = make_wheel(self.key_file.parent, version, appended or {})
        key = signing.load_key(self.key_file)
        publish(self.folder, wheel, key, datetime.now(UTC), oldest="0", **options)  # type: ignore[arg-type]

    def settings(self) -> dict[str, str]:
        """What a platform must know to come here."""
        return {
            "METRIST_RELEASE_SOURCE": str(self.folder),
            "METRIST_RELEASE_KEYS": self.public_key,
            "METRIST_RELEASE_LIBRARIES": "shared",
        }


def make_wheel(folder: Path, version: str, appended: Mapping[str, str]) -> Path:
    """As hatchling makes it of this tree: the same packages, the same metadata, another version."""
    info = f"metrist-{version}.dist-info"
    members = {str(path.relative_to(ROOT)): path.read_bytes() for path in _sources()}
    for name, text in appended.items():
        members[name] = members.get(name, b"") + text.encode()
    metadata = distribution("metrist").read_text("METADATA")
    assert metadata
    members[f"{info}/METADATA"] = re.sub(r"(?m)^Version: .*$", f"Version: {version}", metadata, count=1).encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/entry_points.txt"] = b"[console_scripts]\nmetrist = metrist.cli:main\n"
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    path = folder / f"metrist-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _sources() -> list[Path]:
    found = re.search(
        r"(?ms)^\[tool\.hatch\.build\.targets\.wheel\].*?^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text()
    )
    assert found
    packages = re.findall(r'"([^"]+)"', found[1])
    assert len(packages) >= 7
    return [
        path
        for package in packages
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _record(members: Mapping[str, bytes], own: str) -> bytes:
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in members.items()]
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
