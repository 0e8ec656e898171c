"""The image, as far as it can be told without Docker: what goes in, what the wheel in it holds, and that it runs."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from dashboards.download import wheel_name
from metrist.releases import signing
from metrist.releases.errors import ReleaseUntrusted
from metrist.releases.source import read_index

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
COPIED = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
SOURCES = [source for line in COPIED for source in line.split()]
WITHIN_S = 300


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build is sent: the files that .dockerignore lets through, and of them what the Dockerfile copies."""
    folder = tmp_path_factory.mktemp("context")
    for source in SOURCES:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, folder / source)
    return folder


@pytest.fixture(scope="module")
def wheel(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip install .` makes of it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, context]
    made = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert made.returncode == 0, made.stderr
    (found,) = folder.glob("metrist-*.whl")
    return found


def test_the_dockerfile_is_sound() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_what_is_copied_is_there_and_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*", "nothing but what is named"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert SOURCES and [source for source in SOURCES if not (ROOT / source).exists()] == []
    assert [source for source in SOURCES if not any(fnmatch.fnmatch(source, each) for each in let_in)] == []
    assert set(PACKAGES) <= set(SOURCES)


def test_it_runs_as_nobody_in_particular() -> None:
    text = (ROOT / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (.+)$", text, re.MULTILINE)
    assert user == "10001:10001"
    assert text.index("USER ") < text.index("ENTRYPOINT ")


def test_the_wheel_holds_every_file_of_every_package(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(listed) > 300
    assert [name for name in listed if name not in held] == []
    kinds = {Path(name).suffix for name in held}
    assert {".py", ".sql", ".lua", ".html", ".css", ".js", ".svg", ".sh", ".service"} <= kinds


def test_it_runs_outside_of_the_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    asked = """
import metrist, sys
from dashboards import installer, render
from importlib.resources import files
from schema import migrate, series
from schema.lua import Lua
assert metrist.__file__.startswith(sys.argv[1]), metrist.__file__
assert len(migrate.migrations()) >= 5 and series.question("series_list")
assert installer.script("http://x").startswith("#!/bin/sh")
assert render._environment().get_template("nodes.html")
from metrist.cli import main
main(["--help"])
"""
    env = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-P", "-c", asked, str(site)]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0 and "usage: metrist" in ran.stdout, ran.stderr


def test_a_release_of_it_is_one_that_hosts_trust(wheel: Path, tmp_path: Path) -> None:
    """What the workflow's signing step does, with a key of our own."""
    public = signing.make_key(tmp_path / "key.pem")
    env = {**os.environ, "RELEASE_KEY": (tmp_path / "key.pem").read_text(), "METRIST": _metrist(tmp_path)}
    folder, url = tmp_path / "release", "https://example.org/download/v1"
    command = [ROOT / ".ci/release", wheel, folder, url]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert public in done.stdout and "PRIVATE" not in done.stdout + done.stderr
    (entry,) = read_index(str(folder))
    signing.verify(entry, signing.trusted(public))
    with pytest.raises(ReleaseUntrusted):
        signing.verify({**entry, "version": "9.9.9"}, signing.trusted(public))
    assert entry["wheel"]["url"] == f"{url}/{wheel.name}"
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert {path.name for path in folder.glob("*.whl")} == {wheel.name, wheel_name()}
    del env["RELEASE_KEY"]
    assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 1


def _metrist(folder: Path) -> str:
    """The command, from this tree."""
    program = folder / "metrist"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m metrist "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.mark.long
def test_the_steps_of_the_build_make_a_metrist_that_runs(context: Path, tmp_path: Path) -> None:
    """`RUN python -m venv` and `RUN pip install --constraint constraints.txt .`, with the same words."""
    (install,) = re.findall(r"^RUN (/opt/metrist/bin/pip install .+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    venv = tmp_path / "metrist"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=WITHIN_S)
    command = install.replace("/opt/metrist", str(venv)).split()
    subprocess.run(command, cwd=context, check=True, timeout=4 * WITHIN_S)
    said = subprocess.run([venv / "bin/metrist", "--help"], cwd="/", capture_output=True, text=True, check=True)
    assert "usage: metrist" in said.stdout
