"""The platform's figures as samples, and the dashboard that shows them."""

import pytest

from domain import dashboards, own_account, own_dashboard, query
from domain.metering import Family, Histogram, Point, counters, gauge
from domain.own_account import operators_of, quantile, samples
from domain.series_key import parse


def test_figures_become_samples_without_who_told_them() -> None:
    found, _ = samples(
        [
            gauge("process_open_fds", "Files", 7).labelled({"process": "api", "host": "h"}),
            counters("metrist_samples_refused", "Refused", "reason", {"node-name": 3}),
            gauge("metrist_spool_bytes", "Spool", 0),
        ],
        {},
    )
    assert found == {
        "metrist.process_open_fds": 7,
        'metrist.samples_refused{reason="node-name"}': 3,
        "metrist.spool_bytes": 0,
    }
    assert all(parse(key) for key in found)


def test_a_histogram_tells_what_was_observed_since_the_last_report() -> None:
    observed = Histogram((0.1, 1.0, 10.0))

    def report(before: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
        points = tuple(observed.points({"route": "/x"}))
        return samples([Family("metrist_request_seconds", "histogram", "", points)], before)

    for _ in range(100):
        observed.observe(0.05)
    first, before = report({})
    assert first['metrist.request_count{route="/x"}'] == 100
    assert first['metrist.request_p95_seconds{route="/x"}'] == pytest.approx(0.095)
    for _ in range(10):
        observed.observe(5.0)
    second, before = report(before)
    assert second['metrist.request_p50_seconds{route="/x"}'] == pytest.approx(5.5)
    third, before = report(before)
    assert third == {'metrist.request_count{route="/x"}': 110}, "nothing was observed"
    observed.counts, observed.total = [1, 0, 0, 0], 0.05
    assert report(before)[0]['metrist.request_p95_seconds{route="/x"}'] == pytest.approx(0.095), "a new process"


@pytest.mark.parametrize(
    ("share", "counts", "expected"),
    [
        (0.5, [2, 0, 0], 0.5),
        (0.5, [1, 1, 0], 1.0),
        (1.0, [1, 1, 0], 2.0),
        (0.95, [0, 0, 4], 2.0),
        (0.75, [2, 2, 0], 1.5),
    ],
)
def test_quantiles_lie_straight_between_bounds(share: float, counts: list[float], expected: float) -> None:
    assert quantile(share, (1.0, 2.0), counts) == pytest.approx(expected)


def test_the_dashboard_is_one_that_could_be_imported() -> None:
    document = own_dashboard.document()
    assert dashboards.read(dashboards.export(document)) == document
    for panel in document.panels:
        if isinstance(panel, dashboards.GraphPanel):
            query.check(panel.graph)


def test_operators_are_named_with_commas_or_spaces() -> None:
    assert operators_of(" Ann@example.org, bob@example.org  carl@example.org,") == {
        "ann@example.org",
        "bob@example.org",
        "carl@example.org",
    }
    assert operators_of("") == frozenset()
    assert str(own_account.ACCOUNT) != str(own_account.DASHBOARD)
    assert Point(1).labels == {}
