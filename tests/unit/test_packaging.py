"""Our packages have common names; nobody else may have them in our environment."""

from importlib.metadata import packages_distributions

import pytest

OURS = ("domain", "schema", "rendering", "api", "workers", "dashboards", "agent", "metrist")


@pytest.mark.parametrize("name", OURS)
def test_a_package_is_ours_alone(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"metrist"}
