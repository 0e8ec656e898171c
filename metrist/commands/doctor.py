"""`metrist doctor`: what is wrong here, and what to do about it."""

import argparse
import json
import logging
import sys
from collections import Counter
from dataclasses import asdict

from domain.errors import StartRefused
from metrist.doctor.checks import examine
from metrist.doctor.finding import Finding, Level
from metrist.doctor.patient import admitted

MARKS = {Level.GOOD: "ok", Level.WARNING: "warn", Level.PROBLEM: "FAIL", Level.SKIPPED: "-"}
COLOURS = {Level.GOOD: "32", Level.WARNING: "33", Level.PROBLEM: "31", Level.SKIPPED: "2"}
NAME_CHARS = 18


def run(options: argparse.Namespace) -> None:
    """Look at everything; exit code 1 when there is a problem. Raises StartRefused."""
    logging.disable(logging.ERROR)  # what libraries say of stores that are away, findings say better
    counted: Counter[Level] = Counter()
    found = []
    with admitted(options.data) as patient:
        for name, finding in examine(patient):
            counted[finding.level] += 1
            found.append({"check": name, **asdict(finding)})
            if not options.json:
                _say(name, finding)
    if options.json:
        print(json.dumps({"problems": counted[Level.PROBLEM], "findings": found}, indent=2))
    problems, warnings = counted[Level.PROBLEM], counted[Level.WARNING]
    if problems:
        raise StartRefused(f"{_many(problems, 'problem')}, {_many(warnings, 'warning')}")
    if not options.json:
        print(f"No problem, {_many(warnings, 'warning')}.")


def _say(name: str, finding: Finding) -> None:
    mark = f"{MARKS[finding.level]:<4}"
    if sys.stdout.isatty():
        mark = f"\033[{COLOURS[finding.level]}m{mark}\033[0m"
    print(f"{mark}  {name:<{NAME_CHARS}} {finding.says}", flush=True)
    if finding.remedy:
        print(f"{'':<6}{'':<{NAME_CHARS}} → {finding.remedy}", flush=True)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
