"""One site with providers for all these tests; each begins with a person nobody has seen before."""

from collections.abc import Iterator

import pytest

from tests.integration.pages.oauth.door import Door, ids, with_providers
from tests.integration.pages.site import Site, serving
from tests.oauth_server import Person, serving_oauth


@pytest.fixture(scope="session")
def opened(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with serving_oauth() as provider:
        settings = with_providers(site.settings, provider, tmp_path_factory.mktemp("oauth"))
        with serving(settings) as app:
            yield Door(Site(settings.base_url, app, settings, site.control), provider)


@pytest.fixture
def door(opened: Door) -> Iterator[Door]:
    """The door, with somebody nobody has seen before at the provider."""
    number = next(ids)
    provider = opened.provider
    provider.person = Person(number, f"ada-{number}", "Ada Lovelace", f"ada-{number}@example.org")
    provider.asked.clear()
    provider.refusals.clear()
    yield opened
    provider.denies, provider.slow_s, provider.forge = False, 0.0, None
    provider.fails, provider.claims, provider.discovery = set(), {}, {}
