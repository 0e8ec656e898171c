"""An id_token that does not prove who somebody is signs nobody in."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.integration.pages.oauth.door import (
    Door,
    ids,
    sign_in,
    with_providers,
)
from tests.integration.pages.site import HTML, Site, serving
from tests.oauth_server import CLIENT_ID, CLIENT_SECRET, serving_oauth


def signed_by_another(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, RSAKey.generate_key(2048, parameters={"kid": "first"}))


def not_signed(claims: dict[str, Any]) -> str:
    parts = (json.dumps({"alg": "none"}), json.dumps(claims), "")
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


def signed_with_our_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET), algorithms=["HS256"])


@pytest.mark.parametrize(
    "forge", [signed_by_another, not_signed, signed_with_our_secret, lambda _: "rubbish", lambda _: ""]
)
def test_a_forged_id_token_signs_nobody_in(door: Door, forge: Callable[[dict[str, Any]], str]) -> None:
    door.provider.forge = forge
    with door.browser() as browser:
        answer = sign_in(browser, "oidc")
        assert answer.status_code == 502 and "metrist_session" not in browser.cookies


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("another nonce", {"nonce": "foreign"}),
    ("no nonce", {"nonce": None}),
    ("for somebody else", {"aud": "another-client"}),
    ("for somebody else, by us", {"aud": ["another-client"], "azp": CLIENT_ID}),
    ("of another issuer", {"iss": "https://evil.example"}),
    ("over", {"exp": 1_700_000_000}),
    ("of nobody", {"sub": None}),
]


@pytest.mark.parametrize("claims", [case[1] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_id_token_that_is_not_ours_signs_nobody_in(door: Door, claims: dict[str, Any]) -> None:
    door.provider.claims = claims
    with door.browser() as browser:
        answer = sign_in(browser, "oidc")
        assert answer.status_code == 502 and "metrist_session" not in browser.cookies


def test_an_id_token_for_several_clients_that_names_us_is_good(door: Door) -> None:
    door.provider.claims = {"aud": [CLIENT_ID, "another-client"], "azp": CLIENT_ID}
    with door.browser() as browser:
        assert sign_in(browser, "oidc").status_code == 303


def test_new_keys_of_the_provider_are_fetched(door: Door) -> None:
    with door.browser() as browser:
        sign_in(browser, "oidc")
        door.provider.key = RSAKey.generate_key(2048, parameters={"kid": f"key-{next(ids)}", "use": "sig"})
        assert sign_in(browser, "oidc").status_code == 303


def test_a_discovery_document_of_another_issuer_is_not_believed(site: Site, tmp_path: Path) -> None:
    with serving_oauth() as provider:
        provider.discovery = {"issuer": "https://evil.example"}
        settings = with_providers(site.settings, provider, tmp_path)
        with serving(settings) as app, Site(settings.base_url, app, settings, site.control).client(**HTML) as browser:
            assert browser.post("/sign-in/oidc").status_code == 502
            provider.fails = {"/.well-known/openid-configuration"}
            assert browser.post("/sign-in/oidc").status_code == 502
            provider.fails, provider.discovery = set(), {}
            assert sign_in(browser, "oidc").status_code == 303
