"""How a node's series become the graphs of its page."""

from collections.abc import Mapping
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.charts import Latest, group, line_names, natural_key, title_of
from dashboards.format import Unit


def latest(metric: str, **labels: str) -> Latest:
    return Latest(metric, labels, ts_s=1_700_000_000.0, value=1.0)


NODE = [
    latest("net.received_bytes_per_s", interface="eth0"),
    latest("cpu.usage_percent", core="10"),
    latest("cpu.usage_percent", core="2"),
    latest("cpu.usage_percent"),
    latest("cpu.count"),
    latest("myapp.queue.jobs"),
    latest("load.15m"),
    latest("load.1m"),
    latest("load.5m"),
    latest("mem.used_percent"),
    latest("mem.available_bytes"),
    latest("uptime_seconds"),
]
TITLES = [
    ("cpu.usage_percent", "Usage"),
    ("net.received_bytes_per_s", "Received"),
    ("load.1m", "1 minute average"),
    ("myapp.http.latency_ms", "Http latency"),
    ("uptime_seconds", "Uptime"),
    ("forms", "Forms"),
    ("a.", "A"),
]
NAMES: list[tuple[str, list[Mapping[str, str]], list[str]]] = [
    ("no labels", [{}], [""]),
    ("one line names all its labels", [{"device": "sda", "mount": "/"}], ["sda · /"]),
    ("only what differs", [{"cpu": "0", "mode": "user"}, {"cpu": "1", "mode": "user"}], ["0", "1"]),
    ("the bare one is the total", [{}, {"core": "0"}], ["total", "0"]),
    ("a label some lack", [{"a": "1"}, {"a": "1", "b": "2"}], ["total", "2"]),
]


@pytest.mark.parametrize(("metric", "title"), TITLES, ids=str)
def test_a_metric_has_a_title(metric: str, title: str) -> None:
    assert title_of(metric) == title


@pytest.mark.parametrize(("labelsets", "names"), [case[1:] for case in NAMES], ids=[case[0] for case in NAMES])
def test_lines_have_telling_names(labelsets: list[Mapping[str, str]], names: list[str]) -> None:
    assert line_names(labelsets) == names


def test_groups_come_in_the_order_people_look_for_them() -> None:
    assert [one.title for one in group(NODE)] == ["CPU", "Load", "Memory", "Network", "Myapp", "Uptime"]


def test_a_group_opens_with_its_main_metric_and_counts_like_people() -> None:
    panels = {one.key: [panel.metric for panel in one.panels] for one in group(NODE)}
    assert panels["cpu"] == ["cpu.usage_percent", "cpu.count"]
    assert panels["load"] == ["load.1m", "load.5m", "load.15m"]
    assert panels["mem"] == ["mem.used_percent", "mem.available_bytes"]


def test_a_metric_is_one_panel_with_a_line_per_labelset() -> None:
    usage = group(NODE)[0].panels[0]
    assert (usage.title, usage.unit) == ("Usage", Unit.PERCENT)
    assert [line.name for line in usage.lines] == ["total", "2", "10"]


def test_no_series_make_no_groups() -> None:
    assert group([]) == ()


def test_the_order_of_arrival_does_not_matter() -> None:
    few = NODE[1:5]
    assert all(group(order) == group(few) for order in permutations(few))


@given(st.lists(st.builds(latest, metric=st.text(st.characters(codec="utf-8"), min_size=1)), max_size=20))
def test_every_series_is_drawn_once(series: list[Latest]) -> None:
    drawn = [panel.metric for one in group(series) for panel in one.panels for _ in panel.lines]
    assert sorted(drawn) == sorted(one.metric for one in series)


@given(st.lists(st.text(), max_size=8))
def test_natural_keys_can_always_be_compared(names: list[str]) -> None:
    assert len(sorted(names, key=natural_key)) == len(names)
