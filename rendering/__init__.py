"""Renders templates that strangers wrote, each in a process of its own that can compute a little, and nothing else.

Workers render what is sent, pages what would be; docs/adr/0025-own-bodies.md says what stops what.
"""

from rendering.process import render

__all__ = ["render"]
