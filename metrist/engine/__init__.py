"""The embedded ClickHouse: chDB in a process of its own that speaks ClickHouse's HTTP interface.

A request goes through these files in this order: `request` (what it asks), `body` and `statement` (its SQL, its
data), `gate` (its turn), `pool` (a connection set as it asks), `results` (what chDB answers), `response`. `http` is
the road, `chdb` the engine. Why it is so: docs/adr/0005-engine.md.
"""

from metrist.engine.server import serve

__all__ = ["serve"]
