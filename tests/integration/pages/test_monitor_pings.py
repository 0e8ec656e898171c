"""A ping says which set its node runs, and is told of another: from what the process knows, without asking a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.integration.pages.site import Site
from tests.integration.pages.test_monitors_api import Programs, wait_for_hash

NODES, MONITORS, ROUNDS = 20, 5, 5


@contextmanager
def counting(site: Site) -> Iterator[list[str]]:
    """The statements that the application sends to the control DB meanwhile."""
    control, seen = site.app.state.stores.control, []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(control, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(control, "before_cursor_execute", note)


@pytest.fixture
def programs(site: Site) -> Iterator[Programs]:
    made = Programs(site)
    yield made
    made.close()


def test_the_check_of_a_set_reads_nothing(site: Site, programs: Programs) -> None:
    nodes = [f"web-{number}" for number in range(NODES)]
    for number in range(MONITORS):
        programs.write(f"disk-{number}", expect=201)
        programs.run_to_all(f"disk-{number}")
    programs.write("disk-0", script="gauge('disk.used', 2)")
    for node in nodes:
        programs.ping(node)
    known = wait_for_hash(programs, nodes[0], "")
    with counting(site) as seen:
        for _ in range(ROUNDS):
            told = [programs.ping(node, known) for node in nodes]
        assert [one for one in told if one] == []
        assert all(programs.ping(node, "another")["hash"] == known for node in nodes)  # type: ignore[index]
    reads = [statement for statement in seen if "monitors" in statement or "nodes" in statement]
    assert reads == [], f"{len(reads)} statements for {NODES * (ROUNDS + 1)} pings"


def test_one_change_is_one_read_however_many_nodes_ask(site: Site, programs: Programs) -> None:
    nodes = [f"web-{number}" for number in range(NODES)]
    programs.write("disk", expect=201)
    programs.run_to_all("disk")
    programs.write("disk", target={"match": "*", "nodes": ["web-1"]})
    for node in nodes:
        programs.ping(node)
    known = wait_for_hash(programs, nodes[0], "")
    with counting(site) as seen:
        site.app.state.monitor_sets.change(programs.tenant.account_id)
        for node in nodes:
            programs.ping(node, known)
    assert len([one for one in seen if "FROM monitors" in one]) == 1
