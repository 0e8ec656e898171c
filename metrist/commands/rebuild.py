"""`metrist rebuild`: fold the state tables from the events again."""

import argparse

from metrist import control
from schema.rebuild import rebuild


def run(options: argparse.Namespace) -> None:
    """Print how much was folded and what had to be put right."""
    with control.opened(control.settings_for(options.data)) as opened:
        report = rebuild(opened.engine)
    print(f"Folded {report.events} events to {report.rows} rows")
    for table, difference in report.differences.items():
        print(
            f"{table}: {difference.missing} missing, {difference.extra} extra, {difference.changed} changed; put right"
        )
