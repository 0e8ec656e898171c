"""The agent as a wheel of its own: complete, the same each time, and with what it imports."""

import ast
import base64
import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import agent
from dashboards import download

FOLDER = Path(agent.__file__).parent
PACKAGES = {"nacl": "pynacl"}
"""Where a package has another name than what is imported of it."""


def test_the_agent_needs_what_its_wheel_asks_for() -> None:
    imported = {name for path in FOLDER.rglob("*.py") for name in _imports(path)}
    needed = {PACKAGES.get(name, name) for name in imported - sys.stdlib_module_names - {"agent"}}
    assert needed == download.NEEDS
    metadata = _wheel().read(_named("METADATA")).decode()
    asked = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert len(asked) == len(download.NEEDS)
    assert all("<" in line and ">=" in line for line in asked)


def test_the_wheel_holds_every_module_and_the_licence() -> None:
    names = set(_wheel().namelist())
    ours = [path for kind in ("*.py", "*.lua") for path in FOLDER.rglob(kind)]
    assert {f"agent/{path.relative_to(FOLDER).as_posix()}" for path in ours} <= names
    assert b"Apache License" in _wheel().read(_named("LICENSE"))


def test_the_record_vouches_for_every_file() -> None:
    whole = _wheel()
    rows = {
        name: (digest, size) for name, digest, size in csv.reader(io.StringIO(whole.read(_named("RECORD")).decode()))
    }
    assert set(rows) == set(whole.namelist())
    for name, (digest, size) in rows.items():
        if name != _named("RECORD"):
            data = whole.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={expected}", str(len(data))), name


def test_the_same_files_make_the_same_wheel() -> None:
    first = download.wheel()
    download.wheel.cache_clear()
    assert download.wheel() == first


def test_the_readme_names_this_wheel() -> None:
    assert f"/download/{download.wheel_name()}" in (FOLDER.parent / "README.md").read_text()


def _wheel() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(download.wheel()))


def _named(name: str) -> str:
    return next(member for member in _wheel().namelist() if member.endswith(f".dist-info/{name}"))


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
