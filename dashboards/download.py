"""GET /download/metrist_agent-….whl: the agent alone, as a wheel made from the files that this server runs itself.

So a bare machine installs the agent that fits its server, from its server, with pip and without a package index of
ours. The wheel holds the package `agent` and asks for the five libraries that it imports; nothing of it is secret,
and pip has no session, so anybody may fetch it.
"""

import hashlib
import io
import re
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, requires, version
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from fastapi.responses import Response

from domain.errors import NotFound

NEEDS = frozenset({"lupa", "msgspec", "psutil", "pynacl", "zstandard"})
"""What the agent needs of others, by the names of packages; their versions are those that the platform asks for."""
_PACKAGE = "agent"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files make the same wheel

router = APIRouter(include_in_schema=False)


@router.get("/download/{name}")
def get_wheel(name: str) -> Response:
    """The wheel; raises NotFound for another name, with the one there is."""
    if name != wheel_name():
        raise NotFound(f"There is no {name} here; this server's agent is /download/{wheel_name()}")
    headers = {"cache-control": "no-cache", "etag": f'"{hashlib.sha256(wheel()).hexdigest()[:16]}"'}
    return Response(wheel(), media_type="application/octet-stream", headers=headers)


def wheel_name() -> str:
    """pip reads name and version from the file's name."""
    return f"metrist_agent-{version('metrist')}-py3-none-any.whl"


@cache
def wheel() -> bytes:
    """The wheel's bytes."""
    info = f"metrist_agent-{version('metrist')}.dist-info"
    members = {f"{_PACKAGE}/{path}": file.read_bytes() for path, file in _modules(files(_PACKAGE))}
    members |= {f"{info}/{name}": text.encode() for name, text in _description().items()}
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return packed.getvalue()


def _modules(folder: Traversable, before: str = "") -> Iterator[tuple[str, Traversable]]:
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        if each.is_dir():
            yield from _modules(each, f"{before}{each.name}/")
        elif each.name.endswith((".py", ".lua")):
            yield f"{before}{each.name}", each


def _description() -> dict[str, str]:
    """The files that tell pip what this is, in the form of PEP 427 and the core metadata."""
    needs = sorted(line for line in requires("metrist") or () if _name_of(line) in NEEDS)
    metadata = [
        "Metadata-Version: 2.1",
        "Name: metrist-agent",
        f"Version: {version('metrist')}",
        "Summary: Reports a machine's metrics to a Metrist server",
        "License: Apache-2.0",
        "Requires-Python: >=3.11",
        *(f"Requires-Dist: {line}" for line in needs),
    ]
    return {
        "METADATA": "\n".join(metadata) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: metrist\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "[console_scripts]\nmetrist-agent = agent.__main__:alone\n",
        "LICENSE": distribution("metrist").read_text("licenses/LICENSE") or "Apache-2.0\n",
    }


def _name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found[0].lower() if found else ""


def _record(members: dict[str, bytes], own: str) -> bytes:
    """Every file with its hash and size; the record itself has none."""
    lines = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in members.items()]
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
