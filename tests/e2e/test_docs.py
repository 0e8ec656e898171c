"""What the documentation tells people to run, run: every shell and Python block of the pages for beginners."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.platforms import Platform, clean_environment

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("quick-start.md", "sending-data.md")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = ("bash", "-euo", "pipefail", "-c")


def blocks() -> Iterator[tuple[str, str, str]]:
    """Name, language and text of each."""
    for page in PAGES:
        text = (DOCS / page).read_text()
        for found in BLOCK.finditer(text):
            yield f"{page} line {text.count(chr(10), 0, found.start()) + 1}", found[1], found[2]


ALL = list(blocks())


def run(platform: Platform, language: str, text: str) -> str:
    """What it says; fails when it fails."""
    command = [sys.executable, "-c", text] if language == "python" else [*SHELL, text]
    told = {"SERVER": platform.url, "KEY": platform.key}
    ran = subprocess.run(
        command, env=clean_environment() | told, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.parametrize(("language", "text"), [each[1:] for each in ALL], ids=[name for name, *_ in ALL])
def test_a_block_does_what_it_says(platform: Platform, language: str, text: str) -> None:
    said = run(platform, language, text)
    assert re.findall(r'"refused":\s*[1-9]|refused [1-9]', said) == []
    if "again" in text and "Metrist-Batch-Id" in text and language == "sh":
        assert re.findall(r'"duplicate":(\w+)', said) == ["false", "true"]


def test_the_blocks_were_found() -> None:
    assert {language for _, language, _ in ALL} == {"sh", "python"} and len(ALL) >= 9


def test_what_the_quick_start_sends_can_be_asked_for(platform: Platform) -> None:
    for _, language, text in ALL:
        if "kettle" in text and "snapshots" in text:
            run(platform, language, text)
    asked = "/api/v1/metrics?node=kettle&metric=temperature.celsius"
    platform.wait_until(lambda: platform.get(asked).json()["series"] != [])
