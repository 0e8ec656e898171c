"""Releases: looked for, verified, installed beside the old one, tried, switched to, taken back.

`upgrade` is the way through these, in this order: `source` (what there is), `release` and `signing` (what is signed),
`choose`, `install`, `rehearse` (the new API on a port of its own), `hosts` (who starts the processes again), `watch`.
`shelf` is the folder of what is installed. `publish` makes releases. Why it is so: docs/adr/0018-upgrades.md.
"""
