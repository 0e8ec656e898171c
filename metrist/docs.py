"""The pages of docs/ that are made from the code: `python -m metrist.docs` writes them, a test compares them."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from domain.settings import Settings
from metrist.api_page import api_page
from metrist.cli import parser

DOCS = Path(__file__).parents[1] / "docs"


def pages() -> dict[str, str]:
    """File name → text."""
    return {"settings.md": settings_page(), "commands.md": commands_page(), "api.md": api_page()}


def settings_page() -> str:
    """Every setting with its default and what it does."""
    rows = "\n".join(_row(name, field) for name, field in Settings.model_fields.items())
    return f"""\
# Settings

Made from `domain/settings.py` by `python -m metrist.docs`; do not edit.

Every process reads these environment variables, and those it does not find there from a file `.env` in its working
directory. A value that cannot be stops the start and names the setting. `metrist up` sets the stores, the folders,
host and port for its children; a store whose URL you set yourself is then not started. The agent has settings of
its own: `metrist agent --help`.

| setting | default | what it does |
|---|---|---|
{rows}
"""


def commands_page() -> str:
    """Every subcommand with its options."""
    parts = "\n".join(_command(leaf) for leaf in leaves(parser()))
    return f"# Commands\n\nMade from `metrist/cli.py` by `python -m metrist.docs`; do not edit.\n\n{parts}"


def write(folder: Path = DOCS) -> None:
    """Write the pages."""
    for name, text in pages().items():
        (folder / name).write_text(text)


def _row(name: str, field: FieldInfo) -> str:
    limits = ", ".join(f"{sign} {value}" for sign, value in _limits(field))
    says = f"{field.description} ({limits})" if limits else f"{field.description}"
    return f"| `METRIST_{name.upper()}` | {_default(field)} | {says}{_choices(field)} |"


def _default(field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if value is PydanticUndefined:
        return "none, must be set"
    return "empty" if value is None or not str(value) else f"`{value}`"


def _choices(field: FieldInfo) -> str:
    return "; one of " + ", ".join(f"`{each}`" for each in get_args(field.annotation)) if _is_choice(field) else ""


def _is_choice(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is Literal


def _limits(field: FieldInfo) -> Iterator[tuple[str, object]]:
    for limit in field.metadata:
        match limit:
            case Gt(gt):
                yield ">", gt
            case Ge(ge):
                yield "≥", ge
            case Lt(lt):
                yield "<", lt
            case Le(le):
                yield "≤", le


def leaves(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands that do something, below one that groups them, or it itself."""
    groups = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield command
    for group in groups:
        for sub in group.choices.values():
            yield from leaves(sub)


def _command(leaf: argparse.ArgumentParser) -> str:
    """In words of ours: argparse lays its help out differently in every Python."""
    options = [action for action in leaf._actions if not isinstance(action, argparse._HelpAction)]
    lines = [f"- `{_spelled(option)}`{': ' + option.help if option.help else ''}\n" for option in options]
    return f"## {leaf.prog}\n\n{leaf.description}\n{chr(10) if lines else ''}{''.join(lines)}"


def _spelled(option: argparse.Action) -> str:
    if not option.option_strings:
        return option.dest.upper()
    if option.nargs == 0:
        return option.option_strings[0]
    choices = "|".join(option.choices) if option.choices else ""
    return f"{option.option_strings[0]} {choices or option.metavar or option.dest.upper()}"


if __name__ == "__main__":
    write()
