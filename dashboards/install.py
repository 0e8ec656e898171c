"""The lines that install an agent, with the address and the key to put into them.

Templates ask for them by `install_lines(request)`. The address is the one that the browser reached us at, unless the
operator has set another; the key is a real one only in the answer to the request that made it.
"""

import re
import shlex
from dataclasses import dataclass

from fastapi import Request

from dashboards import download
from domain.settings import Settings

PLACEHOLDER = "YOUR_API_KEY"
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_LOOPBACK = re.compile(r"https?://(localhost|127\.[0-9.]+|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Lines:
    """What the lines are made with.

    server, wheel, script  addresses, quoted for a shell
    is_local       the address leads nowhere from another machine
    is_made        the key is a real one, shown now or never
    """

    server: str
    wheel: str
    script: str
    key: str
    is_local: bool
    is_made: bool


def install_lines(request: Request, secret: str | None = None) -> Lines:
    """The lines as this browser is to see them."""
    server = address(request)
    wheel = shlex.quote(f"{server}/download/{download.wheel_name()}")
    is_local = _LOOPBACK.fullmatch(server) is not None
    script = shlex.quote(f"{server}/install.sh")
    return Lines(shlex.quote(server), wheel, script, secret or PLACEHOLDER, is_local, secret is not None)


def address(request: Request) -> str:
    """Where agents reach us: as the operator says, else where this browser does."""
    settings: Settings = request.app.state.settings
    host = request.headers.get("host", "")
    if settings.public_url or not _HOST.fullmatch(host):
        return settings.base_url
    return f"{request.url.scheme}://{host}"
