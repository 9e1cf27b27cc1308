"""One video's feed as bytes: the log of its frames, the forms of that log, and where in it a viewer goes on.

Pure: no clock, no socket, no store. Time and what was read from history come in as arguments.
"""
