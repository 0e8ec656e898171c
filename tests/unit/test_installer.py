"""The installer is sound shell, filled in for its server, and brings the wheel that this server serves."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dashboards import download, installer

SERVER = "https://metrist.example.org"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "install.sh"
    path.write_text(installer.script(SERVER))
    return path


def test_every_place_is_filled_in(script: Path) -> None:
    text = script.read_text()
    assert re.findall(r"@[A-Z0-9]+@", text) == []
    assert f"SERVER={SERVER}\n" in text and f"WHEEL={download.wheel_name()}\n" in text
    assert f"SHA256={hashlib.sha256(download.wheel()).hexdigest()}\n" in text
    assert "ExecStart=/opt/metrist-agent/current/bin/metrist-agent\n" in text


def test_an_address_cannot_be_a_command(tmp_path: Path) -> None:
    path = tmp_path / "install.sh"
    path.write_text(installer.script("http://x'; touch pwned; '").replace('\nmain "$@"\n', '\nsay "$SERVER"\n'))
    said = subprocess.run(["sh", path], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said == "http://x'; touch pwned; '\n"
    assert not (tmp_path / "pwned").exists()


def test_shellcheck_finds_nothing(script: Path) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    found = subprocess.run([program, "--severity=style", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_script_cut_off_on_its_way_does_nothing(script: Path, shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = [shell, *(["sh"] if shell == "busybox" else [])]
    whole = script.read_text().encode()
    home = tmp_path / "home"
    home.mkdir()
    for share in (0.1, 0.5, 0.9, 0.999):
        cut = whole[: int(len(whole) * share)]
        subprocess.run(command, input=cut, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, check=False)
    assert list(home.iterdir()) == []
    subprocess.run([*command, "-n"], input=whole, check=True)
