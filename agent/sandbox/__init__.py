"""Runs monitors: Lua of strangers, each run in a process of its own that can compute and ask, and nothing else.

`run` is one run, `check` tells what is wrong with a text. docs/adr/0013-lua-sandbox.md says what stops what.
"""

from agent.sandbox.process import Ask, Refused, Unable, check, nothing_here, run
from agent.sandbox.result import Inputs, Limits, Problem, Result, Sample, Status

__all__ = [
    "Ask",
    "Inputs",
    "Limits",
    "Problem",
    "Refused",
    "Result",
    "Sample",
    "Status",
    "Unable",
    "check",
    "nothing_here",
    "run",
]
