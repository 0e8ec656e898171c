"""The HTTP proxy this machine's environment asks for (`https_proxy`, `http_proxy`, `no_proxy`)."""

import os
from base64 import b64encode
from urllib.parse import SplitResult, unquote, urlsplit


def proxy_for(server: SplitResult) -> SplitResult | None:
    """The proxy on the way to a server, if there is one; none to this machine itself."""
    if _is_here(server.hostname or "") or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # 2 MB, seldom needed

    address = getproxies().get(server.scheme)
    if not address or proxy_bypass(server.hostname or ""):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """How to sign in at a proxy whose address has a user and password."""
    if proxy.username is None:
        return {}
    secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(secret.encode()).decode()}"}


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
