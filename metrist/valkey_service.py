"""Valkey as a service: its own build cannot speak to systemd, so a small process beside it does.

What is told is what the server itself answers: a PING, each second. When it hangs, nothing is told.
"""

import asyncio
import signal
from pathlib import Path

import structlog

from agent.notify import Notifier
from domain.errors import StartRefused
from metrist import health, valkey
from metrist.child import tethered
from metrist.datadir import LOOPBACK
from metrist.embedded import Store

ASK_EVERY_S = 1.0
STOPS_WITHIN_S = 20.0
log = structlog.get_logger()


async def serve(folder: Path, store: Store) -> None:
    """Run the server, with its data in this absolute folder, until SIGTERM or SIGINT.

    Raises StartRefused when it ends by itself.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = valkey.write_config(folder, store)
    process = await asyncio.create_subprocess_exec(*tethered([str(valkey.binary()), str(config)]))
    ended = asyncio.create_task(process.wait())
    asking = asyncio.create_task(_ask_forever(store, Notifier()))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asking.cancel()
        stopping.cancel()
        await _end(process)
    if not stop.is_set():
        raise StartRefused(f"Valkey has ended with exit code {process.returncode}")
    log.info("valkey_stopped")


async def _ask_forever(store: Store, notifier: Notifier) -> None:
    is_well = health.redis(LOOPBACK, store.port, store.password)
    while True:
        if await is_well():
            notifier.turned()
        await asyncio.sleep(ASK_EVERY_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    """It writes what it has to before it ends."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOPS_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
