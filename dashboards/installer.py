"""GET /install.sh: a script that installs this server's agent on the machine that runs it.

It is `install.sh` beside this file with four places filled in: the address that it was asked at, the agent's wheel,
the wheel's hash, and the unit that the guide shows. Nothing of it is secret, and curl has no session, so anybody may
have it.
"""

import hashlib
import shlex
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards import download, install

_FOLDER = files("dashboards")

router = APIRouter(include_in_schema=False)


@router.get("/install.sh")
def get_script(request: Request) -> Response:
    """The script."""
    return Response(script(install.address(request)), media_type="text/x-shellscript", headers=_UNKEPT)


def script(server: str) -> str:
    """The script for machines that reach us at this address."""
    filled = {
        "'@SERVER@'": shlex.quote(server),
        "'@WHEEL@'": shlex.quote(download.wheel_name()),
        "'@SHA256@'": hashlib.sha256(download.wheel()).hexdigest(),
        "@UNIT@\n": _unit(),
    }
    text = _text("install.sh")
    for place, value in filled.items():
        text = text.replace(place, value, 1)
    return text


def _unit() -> str:
    """The guide's unit, for a release that is switched in its place."""
    shown = _text("templates/_metrist-agent.service")
    return shown.replace("/opt/metrist-agent/bin/", "/opt/metrist-agent/current/bin/")


@cache
def _text(name: str) -> str:
    return _FOLDER.joinpath(name).read_text("utf-8")


_UNKEPT = {"cache-control": "no-cache"}
