"""Series keys as the agent writes them are as the server stores them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.keys import key
from domain import series_key

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=40)


def test_labels_are_sorted_and_escaped() -> None:
    assert key("load.1m") == "load.1m"
    assert key("disk.used_bytes", mount='/a "b"\\c', device="sda1") == (
        'disk.used_bytes{device="sda1",mount="/a \\"b\\"\\\\c"}'
    )


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_a_key_round_trips_through_the_servers_parser(labels: dict[str, str]) -> None:
    written = key("disk.used_bytes", **labels)
    assert series_key.parse(written) == ("disk.used_bytes", labels)
    assert series_key.compose("disk.used_bytes", labels) == written


@given(st.text(max_size=40))
def test_any_text_becomes_a_value_the_server_takes(text: str) -> None:
    metric, labels = series_key.parse(key("m", mount=text))
    assert metric == "m"
    assert len(labels["mount"]) == len(text)


def test_half_a_surrogate_pair_in_a_file_name_does_not_break_the_snapshot() -> None:
    assert key("m", mount="/\udcff") == 'm{mount="/?"}'
