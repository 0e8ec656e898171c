"""The state tables of a control DB as a whole, to compare."""

from sqlalchemy import Engine, select

from schema.control.engine import reading
from schema.control.tables import STATES


def rows_of(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """Every row of every state table, by table."""
    with reading(engine) as conn:
        return {
            table.name: [dict(row) for row in conn.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in STATES.values()
        }
