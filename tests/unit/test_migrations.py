"""Migrations run while the release before still runs: they add, and take nothing away that it reads or writes.

A step that takes away ("contract") names the release that was the last to need it, in the control DB as
`CONTRACTS = "0.3.0"`, in ClickHouse as a line `-- contracts: 0.3.0`; that one must have been released before this one.
"""

import ast
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

from schema import migrate

VERSIONS = Path(str(files("schema"))) / "control" / "migrations" / "versions"
TAKES_AWAY = {
    "drop_table", "drop_column", "drop_constraint", "rename_table", "batch_alter_table", "alter_column",
}  # fmt: skip
SQL_TAKES_AWAY = re.compile(
    r"\b(DROP|RENAME|TRUNCATE|DETACH|EXCHANGE|REPLACE\s+TABLE|DELETE|UPDATE|MODIFY\s+COLUMN|MODIFY\s+ORDER|CLEAR\s+COLUMN"
    r"|NOT\s+NULL(?!.*\bDEFAULT\b))\b",
    re.IGNORECASE,
)
CHANGELOG = Path(__file__).parent.parent.parent / "CHANGELOG.md"


def control_faults(source: str) -> list[str]:
    """Calls in a control DB's migration that a release beside it would stumble over."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in TAKES_AWAY:
            found.append(name)
        elif name == "add_column" and not _may_be_left_out(call.args[-1]):
            found.append(f"add_column without a default: {ast.unparse(call.args[-1])}")
        elif name == "execute" and (taken := SQL_TAKES_AWAY.search(_text(call))):
            found.append(taken[0])
    return found


def _may_be_left_out(column: ast.expr) -> bool:
    """Whether an INSERT that does not know the column gives it a value."""
    assert isinstance(column, ast.Call), "a column that is written out can be checked"
    options = {keyword.arg: keyword.value for keyword in column.keywords}
    nullable = options.get("nullable")
    is_required = isinstance(nullable, ast.Constant) and nullable.value is False
    return "server_default" in options or not is_required


def _text(call: ast.Call) -> str:
    return " ".join(
        node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def clickhouse_faults(statements: list[str]) -> list[str]:
    """Likewise, in statements without their comments."""
    bare = [re.sub(r"--.*", "", statement) for statement in statements]
    found = [taken[0] for statement in bare if (taken := SQL_TAKES_AWAY.search(statement))]
    return [taken for taken in found if taken.upper() != "NOT NULL"]  # a column has its type's default there


def contracted(source: str) -> str | None:
    """The release that was the last to need what a step takes away."""
    named = re.search(r"^(?:CONTRACTS = \"|-- contracts: )([\d.]+)\"?$", source, re.MULTILINE)
    return named[1] if named else None


def was_released(release: str) -> bool:
    """Before this one, and with a line in the changelog that says so."""
    is_earlier = _numbers(release) < _numbers(version("metrist"))
    return is_earlier and re.search(rf"^## {re.escape(release)} \(\d", CHANGELOG.read_text(), re.MULTILINE) is not None


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])


@pytest.mark.parametrize("file", sorted(VERSIONS.glob("0*.py")), ids=lambda file: file.name)
def test_a_migration_of_the_control_db_only_adds(file: Path) -> None:
    source = file.read_text()
    release = contracted(source)
    assert was_released(release) if release else control_faults(source) == []


@pytest.mark.parametrize("step", migrate.migrations(), ids=lambda step: step.name)
def test_a_migration_of_clickhouse_only_adds(step: migrate.Migration) -> None:
    release = contracted(step.sql)
    assert was_released(release) if release else clickhouse_faults(list(step.statements())) == []


@pytest.mark.parametrize(
    "step",
    [
        'op.drop_column("nodes", "labels")',
        'op.drop_table("nodes")',
        'op.rename_table("nodes", "hosts")',
        'op.alter_column("nodes", "name", new_column_name="called")',
        'op.alter_column("nodes", "name", nullable=False)',
        'op.add_column("nodes", sa.Column("rack", sa.String(10), nullable=False))',
        'op.execute("ALTER TABLE nodes RENAME COLUMN name TO called")',
        'op.execute(sa.text("ALTER TABLE nodes ADD COLUMN rack TEXT NOT NULL"))',
        'op.execute("DELETE FROM nodes")',
    ],
)
def test_what_takes_away_is_found_in_the_control_db(step: str) -> None:
    assert control_faults(step)


@pytest.mark.parametrize(
    "step",
    [
        'op.add_column("nodes", sa.Column("rack", sa.String(10)))',
        'op.add_column("nodes", sa.Column("rack", sa.String(10), nullable=False, server_default=""))',
        'op.create_table("racks", sa.Column("id", sa.Uuid(), nullable=False))',
        'op.create_index("ix_nodes_rack", "nodes", ["rack"])',
        """op.execute("ALTER TABLE nodes ADD COLUMN rack TEXT NOT NULL DEFAULT ''")""",
    ],
)
def test_what_adds_may_pass_in_the_control_db(step: str) -> None:
    assert control_faults(step) == []


@pytest.mark.parametrize(
    ("statement", "is_found"),
    [
        ("ALTER TABLE samples DROP COLUMN labelset", True),
        ("DROP VIEW samples_view", True),
        ("RENAME TABLE samples TO old", True),
        ("ALTER TABLE samples MODIFY COLUMN node String", True),
        ("ALTER TABLE samples DELETE WHERE 1", True),
        ("ALTER TABLE samples ADD COLUMN IF NOT EXISTS unit String", False),
        ("ALTER TABLE samples_view MODIFY QUERY SELECT 1", False),
        ("CREATE TABLE IF NOT EXISTS racks (a UInt8) -- DROP was considered\nENGINE = Null", False),
    ],
)
def test_what_takes_away_is_found_in_clickhouse(statement: str, is_found: bool) -> None:
    assert bool(clickhouse_faults([statement])) is is_found


def test_a_contract_names_a_release_that_is_out() -> None:
    assert contracted('CONTRACTS = "0.0.1"\n') == contracted("-- contracts: 0.0.1\n") == "0.0.1"
    assert not was_released("0.0.1"), "nobody has released it"
    assert not was_released(version("metrist")), "it still runs beside what takes away"
