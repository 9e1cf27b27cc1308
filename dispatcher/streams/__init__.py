"""Carries the streams of nodes, publishers and watchers: what each has yet to be sent, and what it has acknowledged.

`replica.py` carries out what the core decides. Nothing in it waits; `servicer.py` reads and writes the streams.
"""
