"""Keeps the history in one SQLite file, for one machine."""
