"""`metrist up`: start everything in order, watch over it, stop it in order."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from domain.settings import Settings
from metrist import logs, orphans, pieces, reach, step
from metrist.banner import Welcome, banner, say
from metrist.datadir import DataDir, hold, write_private
from metrist.embedded import Embedded, embed, variables
from metrist.environment import is_set, read_settings
from metrist.listener import listen
from metrist.look import look_forever
from metrist.pieces import Recipe
from metrist.releases.begin import begin
from metrist.releases.facts import STORES, Program, running
from metrist.releases.shelf import Shelf
from metrist.rotation import Rotation
from metrist.supervisor import Supervisor

log = structlog.get_logger()


@dataclass(frozen=True)
class Platform:
    """All that is decided before the first process starts."""

    settings: Settings
    data: DataDir
    listener: socket.socket
    embedded: Embedded
    env: dict[str, str]
    has_agent: bool
    shelf: Shelf
    release: Program

    @property
    def recipe(self) -> Recipe:
        """What pieces are made of, whatever release runs them."""
        return Recipe(self.data, self.embedded, self.env, self.listener)


def up(directory: Path, host: str | None, port: int | None, *, has_agent: bool) -> None:
    """Run the platform until SIGINT, SIGTERM or SIGHUP. Raises StartRefused."""
    settings = read_settings(host=host, port=port)
    logs.configure(settings)
    os.umask(0o077)  # what we and our children write is ours alone
    with ExitStack() as held:
        data = held.enter_context(hold(directory))
        shelf = Shelf(data.releases)
        begin(shelf)  # nothing was started yet, and becoming another program lets go of what is held
        listener = held.enter_context(listen(settings.host, settings.port))
        for name in orphans.end_orphans(data.run):
            log.warning("orphan_ended", piece=name)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        embedded = embed(settings, data)
        env = {**os.environ, **variables(settings, data, embedded)}
        asyncio.run(run(Platform(settings, data, listener, embedded, env, has_agent, shelf, running())))


async def run(platform: Platform) -> None:
    """Start, wait until asked to stop, stop; the second asking ends everything at once."""
    supervisor = Supervisor(platform.data.root)
    stop = _hear_signals(supervisor)
    try:
        say(f"Metrist is starting, data in {platform.data.root}")
        await _until(stop, _start(platform, supervisor))
        if not stop.is_set():
            await _until(stop, _keep_current(platform, supervisor))
        say("Metrist is stopping; press Ctrl-C again to end it at once")
    finally:
        platform.listener.close()
        await supervisor.stop(pieces.STOP_ORDER)
    say("Metrist has stopped")


async def _start(platform: Platform, supervisor: Supervisor) -> None:
    """Stores, tables, API, background, agent; each when the one before is well."""
    env, release, make = platform.env, platform.release, platform.recipe.make
    await asyncio.to_thread(reach.refuse_unreachable, platform.settings, *_elsewhere(platform.settings))
    await supervisor.start(*(make(name, release) for name in STORES if getattr(platform.embedded, name)))
    await step.run("migrate", pieces.metrist(release, "migrate"), env)
    await supervisor.start(make("api", release))
    await supervisor.start(*(make(name, release) for name in ("worker", "scheduler")))
    write_private(platform.data.address, platform.settings.base_url)
    welcome = await _greet(platform)  # late: a key made by a start that then fails would be shown to nobody
    if platform.has_agent:
        await supervisor.start(make("agent", release))
    say(banner(welcome, platform.settings, platform.data.root))


def _elsewhere(settings: Settings) -> list[str]:
    return [name for name in reach.STORES if is_set(settings, name)]


async def _keep_current(platform: Platform, supervisor: Supervisor) -> None:
    """Follow the link to other releases, and look for new ones, until cancelled."""
    address = pieces.url(platform.listener)
    rotation = Rotation(platform.recipe, supervisor, platform.shelf, address, platform.release)
    async with asyncio.TaskGroup() as group:
        group.create_task(rotation.follow())
        group.create_task(look_forever(platform.settings, platform.shelf, platform.data, platform.env))


async def _greet(platform: Platform) -> Welcome:
    """Ask for the link and the keys in a process of its own: its database libraries end with it."""
    key_file = str(platform.data.agent_key) if platform.has_agent else ""
    said = await step.run("welcome", [*pieces.python(platform.release), "metrist.welcome", key_file], platform.env)
    return Welcome(**json.loads(said))


def _hear_signals(supervisor: Supervisor) -> asyncio.Event:
    stop = asyncio.Event()

    def hear() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, hear)
    return stop


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, unless we are asked to stop before it is done."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    both: list[asyncio.Task[Any]] = [working, stopping]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
