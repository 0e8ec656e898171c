"""A sign-in provider for tests, over real HTTP: GitHub's addresses and OpenID Connect's, one person at a time.

It is as strict as the real ones: codes work once and for the client, redirect_uri and PKCE verifier they were made
for. What it answers can be bent by setting fields of `OAuthServer` before a request.
"""

import base64
import hashlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "metrist-tests", "the-client's-secret"
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Person:
    """Who is signed in at the provider, and so passes it without a question."""

    id: int = 1001
    login: str = "ada"
    name: str | None = "Ada Lovelace"
    email: str | None = "ada@example.org"
    is_verified: bool = True


@dataclass
class Grant:
    """What was agreed to when a code was handed out."""

    person: Person
    redirect_uri: str
    challenge: str
    nonce: str | None


@dataclass
class OAuthServer:
    """The provider; `url` is its address, and its issuer."""

    url: str = ""
    person: Person = field(default_factory=Person)
    denies: bool = False
    fails: set[str] = field(default_factory=set)
    """Paths that answer 500."""
    slow_s: float = 0.0
    """How long the token endpoint thinks."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of the id_token that replace the true ones; None removes one."""
    forge: Callable[[dict[str, Any]], str] | None = None
    """Makes the id_token in place of the true signature."""
    hides_emails: bool = False
    discovery: dict[str, Any] = field(default_factory=dict)
    """Entries of the discovery document that replace the true ones."""
    asked: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """Why token requests were refused."""
    codes: list[str] = field(default_factory=list)
    grants: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Person] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, parameters={"kid": "first", "use": "sig"}))

    def authorize(self, query: dict[str, str]) -> Answer:
        """The page where people agree; this one agrees, or declines, for them."""
        back = query["redirect_uri"]
        if query["client_id"] != CLIENT_ID or query["response_type"] != "code":
            return _page(400, "unknown client")
        if self.denies:
            return _redirect(back, {"error": "access_denied", "error_description": "no", "state": query["state"]})
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes.append(code)
        self.grants[code] = Grant(self.person, back, query["code_challenge"], query.get("nonce"))
        return _redirect(back, {"code": code, "state": query["state"]})

    def token(self, form: dict[str, str], authorization: str) -> Answer:
        """A token for a code, once, for who may have it."""
        time.sleep(self.slow_s)
        grant = self.grants.pop(form.get("code", ""), None)
        reason = self._refusal(form, authorization, grant)
        if reason or grant is None:
            self.refusals.append(reason)
            return _json({"error": reason, "error_description": "no"})
        token = secrets.token_urlsafe(16)
        self.tokens[token] = grant.person
        answer = {"access_token": token, "token_type": "bearer", "scope": form.get("scope", "")}
        if grant.nonce is not None:
            answer["id_token"] = self._id_token(grant)
        return _json(answer)

    def person_of(self, authorization: str) -> Person | None:
        """Whose token it is."""
        return self.tokens.get(authorization.removeprefix("Bearer "))

    def metadata(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        } | self.discovery

    def jwks(self) -> dict[str, Any]:
        """The keys that id_tokens are signed with."""
        return {"keys": [self.key.as_dict(private=False)]}

    def userinfo(self, person: Person) -> dict[str, Any]:
        """What OpenID Connect tells of a person."""
        return {
            "sub": str(person.id),
            "name": person.name,
            "preferred_username": person.login,
            "email": person.email,
            "email_verified": person.is_verified,
        }

    def user(self, person: Person) -> Any:
        """What GitHub tells of a person; the address is one they show to everybody, verified or not."""
        return {"id": person.id, "login": person.login, "name": person.name, "email": "shown@example.org"}

    def emails(self, person: Person) -> Any:
        """What GitHub tells of a person's addresses."""
        return [
            {"email": "other@example.org", "primary": False, "verified": True},
            {"email": person.email, "primary": True, "verified": person.is_verified},
        ]

    def _refusal(self, form: dict[str, str], authorization: str, grant: Grant | None) -> str:
        if not _is_client(form, authorization):
            return "incorrect_client_credentials"
        if grant is None:
            return "bad_verification_code"
        if form.get("redirect_uri") != grant.redirect_uri:
            return "redirect_uri_mismatch"
        return "" if _s256(form.get("code_verifier", "")) == grant.challenge else "invalid_code_verifier"

    def _id_token(self, grant: Grant) -> str:
        now_s = int(time.time())
        true = {"iss": self.url, "aud": CLIENT_ID, "iat": now_s, "exp": now_s + 300, "nonce": grant.nonce}
        claims = {**true, **self.userinfo(grant.person), **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.forge(claims) if self.forge else jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)


class serving_oauth:
    """The provider on a free port, until the block ends."""

    def __enter__(self) -> OAuthServer:
        provider = OAuthServer()

        class Handler(_Handler):
            server_state = provider

        self.http = _Server(("127.0.0.1", 0), Handler)
        provider.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return provider

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has given up waiting is no news; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server_state: OAuthServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._send(parts.path, self._get(parts.path, query))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        path = urlsplit(self.path).path
        is_token = path in ("/token", "/login/oauth/access_token")
        form, authorization = dict(parse_qsl(body)), self.headers.get("authorization", "")
        self._send(path, self.server_state.token(form, authorization) if is_token else _page(404, "nothing here"))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _get(self, path: str, query: dict[str, str]) -> Answer:
        state = self.server_state
        if path in ("/authorize", "/login/oauth/authorize"):
            return state.authorize(query)
        person = state.person_of(self.headers.get("authorization", ""))
        told = {"/.well-known/openid-configuration": state.metadata(), "/jwks": state.jwks()}
        if person is not None:
            told |= {"/userinfo": state.userinfo(person), "/api/v3/user": state.user(person)}
            told |= {} if state.hides_emails else {"/api/v3/user/emails": state.emails(person)}
        return _json(told[path]) if path in told else _json({"message": "Not Found"}, 404 if person else 401)

    def _send(self, path: str, answer: Answer) -> None:
        self.server_state.asked.append(path)
        status, headers, body = _page(500, "broken") if path in self.server_state.fails else answer
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _is_client(form: dict[str, str], authorization: str) -> bool:
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    return authorization == f"Basic {basic}" or (form.get("client_id"), form.get("client_secret")) == (
        CLIENT_ID,
        CLIENT_SECRET,
    )


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _json(body: Any, status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(body).encode()


def _page(status: int, text: str) -> Answer:
    return status, {"content-type": "text/html"}, text.encode()


def _redirect(address: str, query: dict[str, str]) -> Answer:
    return 302, {"location": f"{address}?{urlencode(query)}"}, b""
