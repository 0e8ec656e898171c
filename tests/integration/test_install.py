"""A release in an environment of its own: its libraries from a folder of wheels, held to its constraints, or shared.

The wheels are tiny: what they are is told by a `metrist.releases.facts` of their own.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from metrist.releases.errors import ReleaseBad, UpgradeRefused
from metrist.releases.install import install
from metrist.releases.release import File, Release
from metrist.releases.shelf import Shelf

TELLS = 'import json, importlib.metadata as m\nprint(json.dumps({{"version": {version}, "engine": "e", "later": 1}}))\n'
OWN = 'm.version("metrist")'


def wheel(folder: Path, name: str, version: str, *needs: str, files: dict[str, str] | None = None) -> Path:
    info = f"{name}-{version}.dist-info"
    metadata = "".join(f"Requires-Dist: {need}\n" for need in needs)
    members = {
        **(files or {f"{name}.py": f"version = {version!r}\n"}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


def platform(folder: Path, *needs: str, told: str = OWN) -> Path:
    files = {"metrist/__init__.py": "", "metrist/releases/__init__.py": ""}
    return wheel(
        folder, "metrist", "0.2.0", *needs, files={**files, "metrist/releases/facts.py": TELLS.format(version=told)}
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "releases").mkdir()
    return Shelf(tmp_path / "releases")


RELEASE = Release("0.2.0", "0", File("metrist-0.2.0-py3-none-any.whl", "0" * 64, 1))


def test_libraries_come_from_a_folder_and_are_held_to_the_constraints(shelf: Shelf, tmp_path: Path) -> None:
    wheels, constraints = tmp_path / "wheels", tmp_path / "constraints.txt"
    wheels.mkdir()
    constraints.write_text("metristlib==1.0\n")
    made = platform(tmp_path, "metristlib>=1")
    for version in ("1.0", "2.0"):
        wheel(wheels, "metristlib", version)
    found = install(shelf, RELEASE, made, constraints, str(wheels))
    assert (found.version, found.engine, found.valkey) == ("0.2.0", "e", ""), "it may tell more or less than ours"
    assert shelf.installed() == ["0.2.0"]
    told = subprocess.run(
        [str(shelf.python("0.2.0")), "-c", "import metristlib; print(metristlib.version)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "1.0\n"


@pytest.mark.long
def test_half_a_release_is_none_and_is_begun_anew(shelf: Shelf, tmp_path: Path) -> None:
    wheels, made = tmp_path / "wheels", platform(tmp_path, "metristlib>=1")
    wheels.mkdir()
    with pytest.raises(UpgradeRefused, match=r"pip install failed: Could not find"):
        install(shelf, RELEASE, made, None, str(wheels))
    assert shelf.installed() == []
    wheel(wheels, "metristlib", "1.0")
    assert install(shelf, RELEASE, made, None, str(wheels)).version == "0.2.0"


def test_libraries_are_shared_when_they_will_do(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(UpgradeRefused, match=r"pip check failed: .*nosuchlib"):
        install(shelf, RELEASE, platform(tmp_path, "nosuchlib"), None, "shared")
    install(shelf, RELEASE, platform(tmp_path, "httpx"), None, "shared")
    asked = "import httpx, metrist; print(metrist.__file__)"
    python = shelf.python("0.2.0")
    told = subprocess.run([str(python), "-P", "-c", asked], capture_output=True, text=True, check=True, cwd="/")
    assert told.stdout.startswith(str(shelf.path("0.2.0"))), "its own code, and our libraries"
    assert str(python) != sys.executable


@pytest.mark.parametrize(
    ("told", "says"), [('"0.3.0"', "it calls itself 0.3.0"), ("nothing", "it does not run: NameError")]
)
def test_what_is_not_what_it_says_is_not_kept(shelf: Shelf, tmp_path: Path, told: str, says: str) -> None:
    with pytest.raises(ReleaseBad, match=says):
        install(shelf, RELEASE, platform(tmp_path, told=told), None, "shared")
