"""The documentation says what the code does."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.app import create_app
from domain.errors import MetristError
from domain.settings import Settings
from metrist import docs
from metrist.cli import parser
from tests.integration.pages.routes import all_routes

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
WRITTEN = [page for page in PAGES if page.name not in docs.pages() and page.parent.name != "adr"]
"""Made pages are compared whole, and decisions tell of their time."""
SETTINGS = Settings(_env_file=None)
OF_AGENTS = re.compile(r"\[(METRIST_[A-Z_]+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def by_name(pages: list[Path]) -> dict[str, Path]:
    return {str(page.relative_to(ROOT)): page for page in pages}


def rows(text: str, columns: int) -> Iterator[list[str]]:
    """The cells of its tables' rows that have so many."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns and not set(line) <= set("|-: "):
            yield cells


@pytest.mark.parametrize(("name", "text"), docs.pages().items(), ids=docs.pages())
def test_a_made_page_is_up_to_date(name: str, text: str) -> None:
    assert text_of(name) == text, "run `python -m metrist.docs`"


def test_the_readme_begins_with_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("make ")]
    assert commands[:2] == ["make run", "make test"]
    assert next(line for line in lines if line and not line.startswith(("#", "```"))).startswith("make run")


@pytest.mark.parametrize("page", by_name(PAGES).values(), ids=by_name(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(FENCE.sub("", page.read_text())) if "://" not in target]
    assert [target for target in targets if not is_there(page, target)] == []


def is_there(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = page if not path else page.parent / path
    return found.exists() and (not anchor or anchor in anchors(found.read_text()))


def anchors(text: str) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page() -> None:
    named = set(LINK.findall(text_of("README.md")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - named - {"README.md"} == set()


@pytest.mark.parametrize("page", by_name(WRITTEN).values(), ids=by_name(WRITTEN))
def test_every_setting_that_is_named_exists(page: Path) -> None:
    agent = OF_AGENTS.findall(" ".join(path.read_text() for path in (ROOT / "agent").glob("*.py")))
    ours = [f"METRIST_{name.upper()}" for name in Settings.model_fields]
    known = {*ours, *agent, "METRIST_KEY", "METRIST_SERVER"}
    named = set(re.findall(r"\bMETRIST_[A-Z0-9_]*[A-Z0-9]\b", page.read_text()))
    tests_alone = {name for name in named if name.startswith("METRIST_TEST_")}
    assert {name for name in named - known - tests_alone if not any(each.startswith(name) for each in known)} == set()


@pytest.mark.parametrize("page", by_name(WRITTEN).values(), ids=by_name(WRITTEN))
def test_every_command_that_is_named_exists(page: Path) -> None:
    known = {leaf.prog.removeprefix("metrist ") for leaf in docs.leaves(parser())}
    first = {command.split()[0] for command in known}
    named = re.findall(r"[`$/ ]metrist ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", " ".join(code_of(page.read_text())))
    wrong = [words for words in named if words[0] not in first or (words[0] not in known and words[1] and
             " ".join(words) not in known)]  # fmt: skip
    assert wrong == []


def code_of(text: str) -> list[str]:
    return [f" {code}" for code in re.findall(r"`([^`\n]+)`", text)]


@pytest.mark.parametrize("page", by_name(WRITTEN).values(), ids=by_name(WRITTEN))
def test_every_route_that_is_named_exists(page: Path) -> None:
    known = [re.compile(re.sub(r"\\\{[^}]*\\\}", "[^ ]+", re.escape(path)) + "$") for path in paths()]
    named = re.findall(r"`(?:GET |POST |PUT |DELETE )?(/(?:api|nodes|live|help|docs|healthz|readyz|metrics)[^`\s?]*)",
                       page.read_text())  # fmt: skip
    assert [path for path in named if not any(route.match(path) for route in known)] == []


@cache
def app() -> FastAPI:
    return create_app(SETTINGS)


@cache
def paths() -> frozenset[str]:
    return frozenset(route.path for route in all_routes(app().routes))


def test_every_problem_of_a_snapshot_is_explained() -> None:
    """By status and type, with nothing left out and nothing made up."""
    document = app().openapi()
    kinds = {kind.title: kind for kind in kinds_of(MetristError)}
    answers = document["paths"]["/api/v1/snapshots"]["post"]["responses"]
    titles = [title for answer in answers.values() for title in answer["description"].split(". ")]
    problems = {(str(kinds[title].status), f"`{kinds[title].slug}`") for title in titles if title in kinds}
    assert len(problems) >= 10
    told = {(cells[0], cells[1]) for cells in rows(text_of("sending-data.md"), 3) if cells[0].isdigit()}
    assert told == problems


def kinds_of(kind: type[MetristError]) -> list[type[MetristError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in kinds_of(child))]


def test_every_reason_to_refuse_a_sample_is_explained() -> None:
    reasons = {reason for name in ("snapshots", "series_key") for reason in reasons_in(ROOT / f"domain/{name}.py")}
    told = [cells[0].strip("`") for cells in rows(text_of("sending-data.md"), 2) if cells[0].startswith("`")]
    assert (set(told), len(told)) == (reasons, len(reasons))


def reasons_in(path: Path) -> Iterator[str]:
    """What is given to InvalidKey and to `refuse` first."""
    for node in ast.walk(ast.parse(path.read_text())):
        is_reason = isinstance(node, ast.Call) and ast.unparse(node.func) in ("InvalidKey", "ledger.refuse")
        if is_reason and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


@pytest.mark.parametrize(
    ("page", "setting", "says"),
    [
        ("sending-data.md", "body_max_bytes", lambda value: f"{value / 2**20:.0f} MiB"),
        ("sending-data.md", "snapshot_future_s", lambda value: f"{value / 60:.0f} minutes"),
        ("sending-data.md", "hour_retention_days", lambda value: f"{value:,} days"),
        ("sending-data.md", "batch_memory_s", lambda value: f"{value / 3600:.0f} hours"),
        ("sending-data.md", "spool_max_bytes", lambda value: f"{value / 2**30:.0f} GiB"),
        ("concepts.md", "late_after_pings", lambda value: f"| late | {value} expected pings"),
        ("concepts.md", "offline_after_pings", lambda value: f"| offline | {value} did not come"),
        ("concepts.md", "deregister_after_s", lambda value: f"nothing for {value / 3600:.0f} hours"),
        ("concepts.md", "raw_retention_days", lambda value: f"{value} days"),
        ("concepts.md", "minute_retention_days", lambda value: f"{value} days"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_default_that_is_told_is_the_default(page: str, setting: str, says: object) -> None:
    assert says(getattr(SETTINGS, setting)) in text_of(page)  # type: ignore[operator]


def test_every_figure_to_watch_exists() -> None:
    sources = " ".join(
        path.read_text() for folder in ("api", "schema", "workers") for path in (ROOT / folder).glob("*.py")
    )
    told = {cells[0].strip("`") for cells in rows(text_of("operating.md"), 2) if cells[0].startswith("`metrist_")}
    assert len(told) >= 5
    assert {figure for figure in told if f'"{figure}"' not in sources} == set()
