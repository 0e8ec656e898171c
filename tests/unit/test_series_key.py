"""Series keys: canonical text, limits, round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import series_key
from domain.series_key import InvalidKey

LABEL_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,10}", fullmatch=True)
LABEL_VALUES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)
METRICS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,20}", fullmatch=True)


@given(METRICS, st.dictionaries(LABEL_NAMES, LABEL_VALUES, max_size=5))
def test_a_key_survives_being_composed_and_parsed(metric: str, labels: dict[str, str]) -> None:
    assert series_key.parse(series_key.compose(metric, labels)) == (metric, labels)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("cpu.user", "cpu.user", id="bare"),
        pytest.param('disk.used{device="sda1"}', 'disk.used{device="sda1"}', id="one label"),
        pytest.param('d{b="2",a="1"}', 'd{a="1",b="2"}', id="sorted"),
        pytest.param('d{ b = "2" , a="1" }', 'd{a="1",b="2"}', id="spaces"),
        pytest.param("d{}", "d", id="empty braces"),
        pytest.param(r'd{a="x\"y\\"}', r'd{a="x\"y\\"}', id="escapes"),
    ],
)
def test_a_key_has_one_canonical_form(text: str, canonical: str) -> None:
    assert series_key.compose(*series_key.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "metric-name", id="empty"),
        pytest.param("1cpu", "metric-name", id="starts with a digit"),
        pytest.param("a b", "metric-name", id="space"),
        pytest.param("x" * 201, "metric-name", id="too long"),
        pytest.param("d{", "label-syntax", id="open brace"),
        pytest.param("d{a}", "label-syntax", id="no value"),
        pytest.param('d{a="1",}', "label-syntax", id="comma at the end"),
        pytest.param('d{a="1"', "label-syntax", id="no closing brace"),
        pytest.param("d{a=1}", "label-syntax", id="no quotes"),
        pytest.param('d{a="1",a="2"}', "label-twice", id="twice"),
        pytest.param('d{1a="1"}', "label-name", id="label starts with a digit"),
        pytest.param('d{a="' + "v" * 257 + '"}', "label-value", id="value too long"),
        pytest.param('d{a="\x00"}', "label-value", id="control character"),
        pytest.param("d{" + ",".join(f'k{n}="v"' for n in range(33)) + "}", "too-many-labels", id="33 labels"),
    ],
)
def test_a_bad_key_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        series_key.parse(text)
    assert caught.value.reason == reason
    assert str(caught.value)
