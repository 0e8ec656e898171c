"""Monitors: Lua that the server hands to this machine's agent, where its owner allows it.

bundle.py says what is fetched and whether it is genuine, kept.py keeps the last good set on disk, fetch.py brings it,
schedule.py runs each monitor in its own time, reach.py does what they ask for within allowed.py, reports.py tells the
server how runs went, and service.py is all of it together.
"""
