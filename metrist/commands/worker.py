"""`metrist worker`: the jobs."""

import argparse

from agent.notify import Notifier
from metrist import logs
from metrist.environment import read_settings
from metrist.reach import refuse_unreachable
from workers import worker


def run(options: argparse.Namespace) -> None:
    """Work until asked to stop."""
    settings = read_settings()
    logs.configure(settings)
    refuse_unreachable(settings, "redis_url", "database_url")
    worker.main(settings, Notifier().turned)
