"""Decides who is connected, which node serves which video, and which node takes the next viewer.

Pure: no I/O, no clock, no log. `registry.py` ties the parts together, and is what the other folders call.
"""
