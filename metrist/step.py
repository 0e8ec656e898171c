"""A process of `metrist up` that does one thing and ends."""

import asyncio
from collections.abc import Mapping

from domain.errors import StartRefused
from metrist import orphans
from metrist.child import tethered


async def run(name: str, command: list[str], env: Mapping[str, str]) -> str:
    """Run it to its end and return what it said; raises StartRefused with its last words when it fails."""
    process = await asyncio.create_subprocess_exec(
        *tethered(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        start_new_session=True,
    )
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            orphans.kill_group(process.pid)
            await process.wait()
    if process.returncode:
        words = complained.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        raise StartRefused(f"{name} failed: {words[-1].removeprefix('metrist: ')}")
    return said.decode()
