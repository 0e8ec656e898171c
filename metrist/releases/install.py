"""A release's own virtual environment, beside the others."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from metrist.releases import facts
from metrist.releases.errors import ReleaseBad, UpgradeRefused
from metrist.releases.facts import Facts
from metrist.releases.release import Release
from metrist.releases.shelf import Shelf

WITHIN_S = 900
INDEX, SHARED = "index", "shared"
"""Values of METRIST_RELEASE_LIBRARIES beside a folder of wheels."""
_SHARED_PATHS = "metrist-shared.pth"


def install(shelf: Shelf, release: Release, wheel: Path, constraints: Path | None, libraries: str) -> Facts:
    """Install a verified wheel, unless it is there already; returns what the release says of itself.

    libraries  where what it needs comes from: pip's index, a folder of wheels, or what the running release uses

    Raises UpgradeRefused when that does not work out, ReleaseBad when the release is not what it says it is.
    """
    folder = shelf.path(release.version)
    if not shelf.is_complete(release.version):
        shutil.rmtree(folder, ignore_errors=True)
        _make_environment(folder, libraries)
        _pip(folder, "install", *_where_from(libraries), *_held_to(constraints, libraries), str(wheel))
        _pip(folder, "check")
        shelf.complete(release.version)
    found = facts.ask(shelf.python(release.version))
    if found.version != release.version:
        shutil.rmtree(folder)
        raise ReleaseBad(f"it calls itself {found.version}")
    return found


def _make_environment(folder: Path, libraries: str) -> None:
    if libraries == SHARED:
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], "venv")
        _packages(folder).joinpath(_SHARED_PATHS).write_text("\n".join(_shared_paths()) + "\n")
        return
    try:
        _run([sys.executable, "-m", "venv", str(folder)], "venv")
    except UpgradeRefused:  # Debian keeps ensurepip in a package of its own
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], "venv")
        where = [] if libraries == INDEX else ["--no-index", "--find-links", libraries]
        ours = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
        _run([*ours, "install", "--quiet", "--disable-pip-version-check", *where, "pip"], "pip")


def _where_from(libraries: str) -> list[str]:
    if libraries == INDEX:
        return []
    if libraries == SHARED:
        return ["--no-index", "--no-deps"]
    return ["--no-index", "--find-links", libraries]


def _held_to(constraints: Path | None, libraries: str) -> list[str]:
    """What is shared was installed by the constraints of another release; `pip check` says whether it will do."""
    return ["--constraint", str(constraints)] if constraints and libraries != SHARED else []


def _shared_paths() -> list[str]:
    """Where the running release has its libraries: those that it shares itself, or its own."""
    own = Path(sysconfig.get_path("purelib"))
    try:
        return (own / _SHARED_PATHS).read_text().split("\n")[:-1]
    except OSError:
        return sorted({str(own), sysconfig.get_path("platlib")})


def _packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))


def _pip(folder: Path, *arguments: str) -> None:
    alone = ["--disable-pip-version-check", "--no-input"]
    _run([str(folder / "bin" / "python"), "-P", "-m", "pip", *alone, *arguments], f"pip {arguments[0]}")


def _run(command: list[str], name: str) -> None:
    """Run it, without a word unless it fails. Raises UpgradeRefused with its last words."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("METRIST_")}
    try:
        subprocess.run(  # noqa: S603
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=WITHIN_S, check=True
        )
    except subprocess.CalledProcessError as error:
        said = error.stdout.decode(errors="replace").strip().splitlines()
        errors = [
            line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")
        ]  # pip's, the first tells most
        reason = next(iter([*errors, *reversed(said), f"exit code {error.returncode}"]))
        raise UpgradeRefused(f"{name} failed: {reason[:300]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpgradeRefused(f"{name} failed: {type(error).__name__}") from None
