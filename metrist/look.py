"""A `metrist up` looks for new releases every minute, by the command that an operator would call."""

import asyncio
import random
from collections.abc import Mapping

import structlog

from domain.errors import StartRefused
from domain.settings import Settings
from metrist import step
from metrist.datadir import DataDir
from metrist.releases.shelf import Shelf

log = structlog.get_logger()
EVERY_S = 60.0


async def look_forever(settings: Settings, shelf: Shelf, data: DataDir, env: Mapping[str, str]) -> None:
    """Look until cancelled; nowhere, unless there is a source, or an upgrade was cut off and must be taken back.

    The one who upgrades is always the proven release, so that a new one need not be able to undo itself.
    """
    refusal = ""
    while True:
        await asyncio.sleep(EVERY_S * random.uniform(0.9, 1.1))  # noqa: S311
        proven = shelf.proven
        if proven is None or shelf.is_locked() or not (settings.release_source or shelf.current != proven):
            continue
        command = [str(shelf.python(proven)), "-P", "-m", "metrist", "upgrade", "--apply", "--data", str(data.root)]
        try:
            said = (await step.run("upgrade", command, env)).strip()
            refusal = ""
            if said.startswith("upgraded"):
                log.info("upgrade_done", said=said)
        except (StartRefused, OSError) as error:
            reason = str(error)
            if reason != refusal:  # the same every minute would hide everything else
                log.warning("upgrade_refused", reason=reason)
            refusal = reason
