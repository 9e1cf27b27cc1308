"""Measures what the README and the docs claim: our servers beside their peers, under load and under faults.

One way for each thing: running.py starts and ends processes, viewers.py and asking.py are the load, authors.py posts
at a steady rate, table.py shows medians, config.py has every number. A file with a command's name is that command.
"""
