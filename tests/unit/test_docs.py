"""The documentation says what the code does."""

from pathlib import Path

import pytest

from metrist import docs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "text"), docs.pages().items(), ids=docs.pages())
def test_a_made_page_is_up_to_date(name: str, text: str) -> None:
    assert (ROOT / "docs" / name).read_text() == text, "run `python -m metrist.docs`"


def test_the_readme_begins_with_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("make ")]
    assert commands[:2] == ["make run", "make test"]
    assert next(line for line in lines if line and not line.startswith(("#", "```"))).startswith("make run")


def test_every_file_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    named = [part.split(")")[0] for part in text.split("](")[1:]]
    assert [name for name in named if "://" not in name and not (ROOT / name).exists()] == []
