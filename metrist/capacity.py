"""What a process needs that serves ten thousand agents: as many open files, and rare looks for garbage."""

import gc
import resource

YOUNG, MIDDLE, OLD = 20_000, 20, 50
"""Python's own are 700, 10, 10. Each agent's connection keeps a few hundred objects alive, and a full collection
visits them all: with 10,000 agents half a second, every second, to find next to nothing."""


def make_room() -> None:
    """Call once, when all is loaded and nothing is served yet."""
    _allow_files()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def _allow_files() -> None:
    """As many as the system allows us at most; by default a login gives 1,024, and every agent is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
