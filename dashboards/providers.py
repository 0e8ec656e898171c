"""Who may vouch for people: GitHub, and one OpenID Connect provider, as the settings say.

Authlib does the protocol: state and PKCE (S256) kept in the session that `dashboards/flows.py` gives it, and for
OpenID Connect nonce and signature of the id_token. What it does not check by itself is checked here: that the
discovery document is the issuer's, that ids are for us, and that no signature is `none` or made with our own secret.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx2
import msgspec
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from joserfc.errors import JoseError
from starlette.requests import Request

from domain.errors import MetristError, ProviderFailed, SignInLost, SignInRefused
from domain.identities import Profile, profile
from domain.settings import Settings

log = structlog.get_logger()

CALL_WITHIN_S = 5.0
WITHIN_S = 12.0
"""One call to a provider, and all calls of one sign-in."""
DISCOVERY = "/.well-known/openid-configuration"
SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
FAULTS = (
    AuthlibBaseError,
    JoseError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    msgspec.MsgspecError,
    TimeoutError,
    ValueError,
    KeyError,
    RuntimeError,  # Authlib's word for a discovery document that lacks an address
)
"""Whatever a provider can do to us."""


@dataclass(frozen=True)
class Provider(ABC):
    """One provider, ready to be asked; `name` is what people call it."""

    key: ClassVar[str]
    name: str
    issuer: str
    client: Any

    async def begin(self, request: Request, callback: str) -> tuple[str, str]:
        """Where to send the browser, and the state it comes back with, which is in the request's session, too.

        Raises ProviderFailed.
        """
        try:
            async with asyncio.timeout(WITHIN_S):
                begun = await self.client.create_authorization_url(callback)
                kept = {name: value for name, value in begun.items() if name != "url"}
                await self.client.save_authorize_data(request, redirect_uri=callback, **kept)
        except FAULTS as error:
            raise self._failed(error) from error
        return begun["url"], begun["state"]

    async def finish(self, request: Request) -> Profile:
        """Who came back. Raises SignInRefused, SignInLost, ProviderFailed."""
        try:
            async with asyncio.timeout(WITHIN_S):
                token = await self.client.authorize_access_token(request, **self._checks())
                return await self._profile(token)
        except FAULTS as error:
            raise self._failed(error) from error

    def _checks(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    async def _profile(self, token: dict[str, Any]) -> Profile:
        """Ask who the token is of."""

    def _failed(self, error: Exception) -> MetristError:
        """What to tell the person; what went wrong in detail is for the operator."""
        code = _code(error)
        match code:
            case "access_denied":
                return SignInRefused(f"{self.name} says that you declined. Nothing was changed; you can try again.")
            case "mismatching_state" | "missing_code":
                return SignInLost(f"This is not what {self.name} sends back. Nobody was signed in; start again.")
            case "bad_verification_code" | "invalid_grant":
                return SignInLost(f"{self.name} does not take its own code any more, so it has been used. Start again.")
        log.warning("sign_in_failed", provider=self.key, error=type(error).__name__, code=code)
        if isinstance(error, JoseError):
            return ProviderFailed(
                f"{self.name} sent a proof that does not hold. Nobody was signed in; tell the operator if it stays."
            )
        return ProviderFailed(f"{self.name} could not be asked who you are. Try again in a minute.")


class GitHub(Provider):
    """GitHub, or a GitHub Enterprise Server: people are their numeric id, never their login or address."""

    key = "github"

    async def _profile(self, token: dict[str, Any]) -> Profile:
        person = _decode(await self._get("user", token), _GitHubUser)
        return profile(self.key, self.issuer, str(person.id), person.login, person.name, await self._email(token))

    async def _email(self, token: dict[str, Any]) -> str | None:
        """Their primary address if GitHub has verified it; an app that may not read addresses learns none."""
        answer = await self._get("user/emails", token, may_refuse=True)
        found = _decode(answer, list[_GitHubEmail]) if answer else []
        return next((each.email for each in found if each.primary and each.verified), None)

    async def _get(self, path: str, token: dict[str, Any], *, may_refuse: bool = False) -> bytes:
        answer = await self.client.get(path, token=token, headers={"accept": "application/vnd.github+json"})
        if may_refuse and answer.status_code in (403, 404):
            return b""
        answer.raise_for_status()
        body: bytes = answer.content
        return body


class OpenId(Provider):
    """Any OpenID Connect provider with a discovery document: people are its `sub`."""

    key = "oidc"

    def _checks(self) -> dict[str, Any]:
        essential = {"iss": self.issuer, "aud": self.client.client_id}
        return {"claims_options": {name: {"essential": True, "value": value} for name, value in essential.items()}}

    async def _profile(self, token: dict[str, Any]) -> Profile:
        proved = token.get("userinfo")
        if not proved:
            raise ValueError("no id_token")
        claims = msgspec.convert(dict(proved), _Claims)
        if claims.email is None and self.client.server_metadata.get("userinfo_endpoint"):
            claims = await self._told(token, claims.sub)
        email = claims.email if claims.email_verified is True else None
        login = claims.preferred_username or claims.email
        return profile(self.key, self.issuer, claims.sub, login, claims.name, email)

    async def _told(self, token: dict[str, Any], sub: str) -> "_Claims":
        """Some providers keep the id_token short and tell the rest when asked."""
        told = msgspec.convert(dict(await self.client.userinfo(token=token)), _Claims)
        if told.sub != sub:
            raise ValueError("userinfo is somebody else's")
        return told


class OpenIdApp(StarletteOAuth2App):  # type: ignore[misc]  # Authlib has no types
    """Authlib's client, which believes in a discovery document only what an honest one says."""

    server_metadata: dict[str, Any]

    async def load_server_metadata(self) -> dict[str, Any]:
        """The issuer's own document, read once: it must name itself, and only its own keys' signatures count."""
        metadata: dict[str, Any] = await super().load_server_metadata()
        if metadata.get("issuer") != self.client_kwargs["issuer"]:
            self.server_metadata.clear()
            raise ValueError("the discovery document is another issuer's")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        good = [each for each in offered if each in SIGNATURES]
        metadata["id_token_signing_alg_values_supported"] = good or ["RS256"]
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        way = "client_secret_basic" if "client_secret_basic" in ways else "client_secret_post"
        self.client_kwargs["token_endpoint_auth_method"] = way
        return metadata


def offered(request: Request) -> Mapping[str, Provider]:
    """The providers people may sign in through, by key; made once a process, with what they have told of themselves."""
    state = request.app.state
    if not hasattr(state, "providers"):
        state.providers = configured(state.settings)
    found: Mapping[str, Provider] = state.providers
    return found


def configured(settings: Settings) -> Mapping[str, Provider]:
    """The providers that the settings name, by their key in addresses."""
    oauth = OAuth()
    found: list[Provider] = []
    if settings.github_client_id:
        found.append(_github(oauth, settings))
    if settings.oidc_issuer:
        found.append(_open_id(oauth, settings))
    return {provider.key: provider for provider in found}


def _github(oauth: OAuth, settings: Settings) -> Provider:
    url = settings.github_url.rstrip("/")
    client = oauth.register(
        GitHub.key,
        client_id=settings.github_client_id,
        client_secret=settings.github_client_secret.get_secret_value(),
        authorize_url=f"{url}/login/oauth/authorize",
        access_token_url=f"{url}/login/oauth/access_token",
        api_base_url="https://api.github.com/" if url == "https://github.com" else f"{url}/api/v3/",
        client_kwargs=_client_options("user:email") | {"token_endpoint_auth_method": "client_secret_post"},
        user_agent="Metrist",
    )
    return GitHub("GitHub", url, client)


def _open_id(oauth: OAuth, settings: Settings) -> Provider:
    issuer = settings.oidc_issuer.removesuffix(DISCOVERY)
    client = oauth.register(
        OpenId.key,
        client_cls=OpenIdApp,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        server_metadata_url=issuer.rstrip("/") + DISCOVERY,
        client_kwargs=_client_options("openid email profile") | {"issuer": issuer},
        user_agent="Metrist",
    )
    return OpenId(settings.oidc_name, issuer, client)


def _client_options(scope: str) -> dict[str, Any]:
    """One TLS context for all calls: reading the system's certificates takes 40 ms, in which nobody else is served."""
    how = {"timeout": CALL_WITHIN_S, "verify": httpx2.create_ssl_context()}
    return {"scope": scope, "code_challenge_method": "S256", **how}


def _code(error: Exception) -> str:
    """The error's code if it looks like one: it came through the browser, and goes to the log."""
    code = str(getattr(error, "error", None) or "")
    return code if re.fullmatch(r"[a-z_]{1,60}", code) else ""


def _decode(body: bytes, kind: type[Any]) -> Any:
    return msgspec.json.decode(body, type=kind)


class _GitHubUser(msgspec.Struct):
    id: int
    login: str
    name: str | None = None


class _GitHubEmail(msgspec.Struct):
    email: str
    primary: bool = False
    verified: bool = False


class _Claims(msgspec.Struct):
    """What an id_token or userinfo tells; some providers write email_verified as text, which proves nothing."""

    sub: str
    name: str | None = None
    preferred_username: str | None = None
    email: str | None = None
    email_verified: bool | str | None = None
