"""The list of nodes: addresses, order, rows, and what open pages are told."""

import asyncio
import random
import re
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.node_list.figures import GAP, LEVELS, MINUTES, Shown, shown
from dashboards.node_list.followers import ListFollower, NodeFollower
from dashboards.node_list.index import Node, NodeIndex, Standing, natural_key
from dashboards.node_list.query import ROWS, SORTS, NodeQuery, parse_query
from dashboards.node_list.rows import difference, marks, row_of
from dashboards.node_list.selection import Selection, shown_state
from domain.ids import NodeId
from domain.nodes import NodeState
from schema.figures import Minutes
from schema.heartbeats import Contact
from schema.node_changes import Changes, ListedNode

NOW_S = 1_700_000_000.0


def listed(name: str, state: str = "online", *, node_id: UUID | None = None, **more: Any) -> ListedNode:
    known: dict[str, Any] = {"labels": {}, "is_ephemeral": False}
    return ListedNode(id=NodeId(node_id or uuid4()), name=name, state=NodeState(state), **known | more)


def index_of(*nodes: ListedNode) -> NodeIndex:
    index = NodeIndex()
    index.replace(nodes)
    return index


def found(index: NodeIndex, query: NodeQuery) -> Selection:
    selection = Selection(index, query)
    asyncio.run(selection.refresh(0))
    return selection


def names(nodes: Sequence[Node]) -> list[str]:
    return [node.name for node in nodes]


ADDRESSES = [
    ("the usual list", {}, NodeQuery(), "/nodes"),
    ("a filter", {"q": " env=prod  web "}, NodeQuery("env=prod web"), "/nodes?q=env%3Dprod+web"),
    ("a state", {"state": "late"}, NodeQuery(state="late"), "/nodes?state=late"),
    ("an order", {"sort": "-cpu"}, NodeQuery(sort="cpu", is_descending=True), "/nodes?sort=-cpu"),
    ("names backwards", {"sort": "-name"}, NodeQuery(is_descending=True), "/nodes?sort=-name"),
    ("a page", {"page": "3"}, NodeQuery(page=3), "/nodes?page=3"),
    ("nonsense", {"state": "x", "sort": "-x", "page": "0"}, NodeQuery(), "/nodes"),
    ("a huge page", {"page": "9" * 5_000}, NodeQuery(), "/nodes"),
]


@pytest.mark.parametrize(("given", "query", "address"), [case[1:] for case in ADDRESSES], ids=[c[0] for c in ADDRESSES])
def test_the_address_says_what_is_shown(given: dict[str, str], query: NodeQuery, address: str) -> None:
    assert parse_query(**given) == query
    assert query.address(page=query.page) == address


def test_a_changed_list_begins_at_its_first_page() -> None:
    query = NodeQuery("web", page=7)
    assert query.address(state="late") == "/nodes?q=web&state=late"
    assert query.sorted_by("cpu") == "/nodes?q=web&sort=-cpu"
    assert NodeQuery(sort="cpu", is_descending=True).sorted_by("cpu") == "/nodes?sort=cpu"


def test_names_sort_as_people_count() -> None:
    ordered = ["a", "A2", "a10", "a010b", "b1-2", "b1-10", "web", "web-1", "web-02", "web-2", "web-10", "web-a", "zeta"]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_key) == ordered


NAME = st.text("ab1230-é", min_size=1, max_size=6)
NODE = st.builds(
    listed,
    NAME,
    st.sampled_from(list(NodeState)),
    labels=st.dictionaries(st.sampled_from(["env", "rack"]), st.sampled_from(["prod", "dev", "a1"]), max_size=2),
    is_ephemeral=st.booleans(),
)
QUERY = st.builds(
    NodeQuery,
    st.sampled_from(["", "a", "env=prod", "env!=prod", "rack=~a.*", "1 env=dev", "rack=~("]),
    st.sampled_from(["", *Standing]),
    st.sampled_from(SORTS),
    st.booleans(),
    st.integers(1, 3),
)


def _reference(nodes: Sequence[Node], query: NodeQuery) -> list[str]:
    """The same by hand: one comparison after the other, nothing kept."""
    tests = {
        "": lambda node: True,
        "a": lambda node: "a" in node.name or any("a" in f"{k}={v}" for k, v in node.listed.labels.items()),
        "env=prod": lambda node: node.listed.labels.get("env") == "prod",
        "env!=prod": lambda node: node.listed.labels.get("env") != "prod",
        "rack=~a.*": lambda node: node.listed.labels.get("rack", "").startswith("a"),
        "1 env=dev": lambda node: (
            node.listed.labels.get("env") == "dev" and ("1" in node.name or "a1" in node.listed.labels.values())
        ),
        "rack=~(": lambda node: False,
    }
    matching = [node for node in nodes if tests[query.text](node)]
    state = query.state
    active = [n for n in matching if n.listed.state != NodeState.DEREGISTERED]
    plain = [n for n in matching if n.listed.state == NodeState.DEREGISTERED and not n.listed.is_ephemeral]
    ended = [n for n in matching if n.listed.state == NodeState.DEREGISTERED and n.listed.is_ephemeral]
    if not state:
        chosen = active or plain
    elif state in ("deregistered", "ended"):
        chosen = plain if state == "deregistered" else ended
    else:
        chosen = [n for n in matching if n.listed.state == state]

    def compare(a: Node, b: Node) -> int:
        sign = -1 if query.is_descending else 1
        x, y = _value(a, query.sort), _value(b, query.sort)
        if (x is None) != (y is None):
            return 1 if x is None else -1
        if x is not None and x != y:
            return sign if x > y else -sign
        by_name = (natural_key(a.name) > natural_key(b.name)) - (natural_key(a.name) < natural_key(b.name))
        return by_name * (sign if query.sort == "name" else 1)

    return names(sorted(chosen, key=cmp_to_key(compare)))


def _value(node: Node, sort: str) -> Any:
    if sort == "name":
        return None
    if sort == "state":
        return ["offline", "late", "online", "deregistered", "ended"].index(node.standing)
    if sort == "contact":
        return -node.contact.last if node.contact else None
    return node.lasts.get(sort)


@given(st.lists(NODE, max_size=12, unique_by=lambda node: node.name), QUERY, st.randoms(use_true_random=False))
def test_the_server_finds_and_sorts_as_a_naive_reader_would(
    nodes: list[ListedNode], query: NodeQuery, chance: random.Random
) -> None:
    index = index_of(*nodes)
    for node in index.in_order:
        node.contact = chance.choice([None, Contact(last=chance.randint(1, 3))])
        node.lasts = {key: chance.choice([None, 1.0, 2.5]) for key in SORTS[3:]}
    selection = found(index, query)
    assert names(selection.nodes) == _reference(index.in_order, query)
    assert bool(selection.problem) == (query.text == "rack=~(")


@given(st.lists(st.lists(NODE, max_size=5), min_size=1, max_size=6), QUERY)
def test_a_list_kept_current_is_the_list_made_anew(steps: list[list[ListedNode]], query: NodeQuery) -> None:
    """Nodes come, change and go, also one that takes the name of another that is gone."""
    ids: dict[str, UUID] = {}
    there: dict[str, ListedNode] = {}
    kept = NodeIndex()
    selection = Selection(kept, query)
    for step in steps:
        news = {node.name: node for node in step}
        gone = frozenset(there[name].id for name in there if name not in news and len(name) % 2)
        there = {name: node for name, node in there.items() if node.id not in gone}
        fresh = [listed_as(node, ids.setdefault(node.name, uuid4())) for node in news.values()]
        there |= {node.name: node for node in fresh}
        ids = {name: node.id for name, node in there.items()}
        kept.apply(Changes(0, fresh, gone))
        asyncio.run(selection.refresh(0))
        anew = index_of(*there.values())
        assert names(kept.in_order) == names(anew.in_order)
        assert kept.by_name.keys() == anew.by_name.keys() and len(kept) == len(anew)
        assert names(selection.nodes) == names(found(anew, query).nodes)


def listed_as(node: ListedNode, node_id: UUID) -> ListedNode:
    return listed(
        node.name, node.state.value, node_id=node_id, labels=dict(node.labels), is_ephemeral=node.is_ephemeral
    )


@pytest.mark.parametrize(
    ("asked", "counts", "state"),
    [
        ("", {Standing.ONLINE: 1, Standing.DEREGISTERED: 5}, ""),
        ("", {Standing.DEREGISTERED: 5, Standing.ENDED: 2}, "deregistered"),
        ("", {Standing.ENDED: 2}, ""),
        ("late", {Standing.DEREGISTERED: 5}, "late"),
    ],
)
def test_deregistered_nodes_hide_behind_others(asked: str, counts: dict[Standing, int], state: str) -> None:
    assert shown_state(asked, counts) == state


def test_pages_hold_every_node_once() -> None:
    selection = found(index_of(*(listed(f"n-{n}") for n in range(ROWS * 2 + 5))), NodeQuery())
    assert selection.pages == 3
    assert [name for page in (1, 2, 3) for name in names(selection.page(page))] == [f"n-{n}" for n in range(205)]
    assert names(selection.page(99)) == names(selection.page(3))


LINES = [
    ("percents reach from 0 to 100", "cpu.usage_percent", [0, 50, 100], "Ag_"),
    ("what is more than full is full", "cpu.usage_percent", [250], "_"),
    ("others reach to their largest", "load.1m", [0, 0.5, 1], "Ag_"),
    ("nothing is flat", "load.1m", [0, 0], "AA"),
    ("below zero is the foot", "load.1m", [-1, 2], "A_"),
]


@pytest.mark.parametrize(("metric", "values", "line"), [case[1:] for case in LINES], ids=[case[0] for case in LINES])
def test_a_line_is_a_character_a_minute(metric: str, values: list[float], line: str) -> None:
    first = MINUTES - len(values)
    _, figure = shown(Minutes("n", metric, list(range(first, MINUTES)), values))
    assert figure.line == GAP * first + line and len(set(LEVELS)) == 64


@pytest.mark.parametrize(("minute", "last"), [(MINUTES - 1, 1.235), (MINUTES - 3, 1.235), (MINUTES - 4, None)])
def test_an_old_value_is_history(minute: int, last: float | None) -> None:
    assert shown(Minutes("n", "load.1m", [minute], [1.23456]))[1].last == last


def node_with(contact: Contact | None = None, **more: Any) -> Node:
    (node,) = index_of(listed("n", **more)).in_order
    node.contact = contact
    return node


def ms(ago_s: float) -> int:
    return int((NOW_S - ago_s) * 1000)


MARKS = [
    ("none", node_with(Contact(last=ms(1), skew=59_000)), []),
    ("a clock ahead", node_with(Contact(last=ms(1), skew=240_000)), ["clock +4m"]),
    ("a clock behind", node_with(Contact(last=ms(1), skew=-7_300_000)), ["clock −2h"]),
    ("two machines", node_with(Contact(last=ms(1), clash=ms(500))), ["two machines"]),
    ("two machines once", node_with(Contact(last=ms(1), clash=ms(700))), []),
    ("away", node_with(Contact(last=ms(20), bye="restart", away=60_000)), ["restarting, back by"]),
    ("away for too long", node_with(Contact(last=ms(80), bye="restart", away=60_000)), []),
    ("away, and gone", node_with(Contact(last=ms(20), bye="restart", away=60_000), state="deregistered"), []),
    ("never heard", node_with(), []),
]


@pytest.mark.parametrize(("node", "words"), [case[1:] for case in MARKS], ids=[case[0] for case in MARKS])
def test_what_is_odd_is_marked(node: Node, words: list[str]) -> None:
    assert [mark.words for mark in marks(node, NOW_S)] == words


def test_a_row_that_did_not_change_is_the_same_row() -> None:
    node = node_with(Contact(last=ms(1)))
    before = row_of(node, NOW_S)
    assert row_of(node, NOW_S + 1) is before
    node.figures = {"cpu": Shown(1.0, "A"), "mem": Shown(2.0, "B")}
    after = row_of(node, NOW_S)
    assert difference(before, after) == {"name": "n", "figures": node.figures}
    node.figures = {"cpu": Shown(1.5, "A")}
    assert difference(after, row_of(node, NOW_S)) == {"name": "n", "figures": {"cpu": Shown(1.5, "A"), "mem": None}}
    assert difference(before, before) == {}


class Browser:
    """What static/rows.js makes of the messages."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.summary: dict[str, Any] = {}

    def take(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        if message.get("whole"):
            self.rows = {}
        for change in message.get("nodes", ()):
            before = self.rows.get(change["name"], {})
            figures = before.get("figures", {}) | change.get("figures", {})
            figures = {key: figure for key, figure in figures.items() if figure}
            self.rows[change["name"]] = before | change | {"figures": figures}
        if "order" in message:
            self.order = message["order"]
            self.rows = {name: self.rows[name] for name in self.order}
        self.summary = message.get("summary", self.summary)


@given(st.lists(st.tuples(st.lists(NODE, max_size=6), st.booleans()), min_size=1, max_size=6), QUERY, st.randoms())
def test_a_slow_browser_ends_up_with_the_same_page(
    steps: list[tuple[list[ListedNode], bool]], query: NodeQuery, chance: random.Random
) -> None:
    index = NodeIndex()
    selection = Selection(index, query)
    follower = ListFollower(index, selection, query)
    browser = Browser()
    for nodes, reads in steps:
        ids = {name: node.listed.id for name, node in index.by_name.items()}
        index.replace([listed_as(node, ids.get(node.name) or uuid4()) for node in {n.name: n for n in nodes}.values()])
        for node in index.in_order:
            node.contact = Contact(last=chance.randint(1, 3) * 1000)
            node.figures = {key: Shown(chance.choice([1.0, 2.0]), "A") for key in chance.sample(["cpu", "mem"], 1)}
        asyncio.run(selection.refresh(0))
        if reads:
            browser.take(follower.message(NOW_S, set()))
    browser.take(follower.message(NOW_S, set()))
    assert browser.order == names(follower.nodes())
    assert list(browser.rows.values()) == follower.rows(NOW_S)
    assert browser.summary == follower.summary(set())


def test_a_page_is_told_of_its_own_rows_only() -> None:
    index = index_of(*(listed(f"n-{n}") for n in range(ROWS + 1)))
    query = NodeQuery()
    selection = found(index, query)
    follower = ListFollower(index, selection, query)
    first = follower.message(NOW_S, set())
    assert first and first["whole"] and len(first["nodes"]) == ROWS
    for node in index.in_order:
        node.contact = Contact(last=ms(0)) if node.name in ("n-3", f"n-{ROWS}") else None
    assert follower.message(NOW_S, set()) == {"now": NOW_S, "nodes": [{"name": "n-3", "contact_s": int(NOW_S)}]}
    assert follower.message(NOW_S, set()) is None


def test_the_page_of_a_node_hears_of_that_node() -> None:
    index = index_of(listed("a"), listed("b"))
    follower = NodeFollower(index, "a")
    first = follower.message(NOW_S, {"figures"})
    assert first and [row["name"] for row in first["nodes"]] == ["a"] and first["away"] == ["figures"]
    gone = index.by_name["a"].listed.id
    index.apply(Changes(1, (), frozenset({gone})))
    last = follower.message(NOW_S, set())
    assert last and last["removed"] == ["a"] and not last["whole"]


def test_spans_are_written_for_people() -> None:
    index = index_of(*(listed(f"n-{n}") for n in range(1_205)))
    query = NodeQuery(page=13)
    summary = ListFollower(index, found(index, query), query).summary(set())
    assert summary["span"] == "1,201–1,205 of 1,205" and summary["page"] == summary["pages"] == 13
    assert re.fullmatch(r"[^<>]*", summary["span"])
