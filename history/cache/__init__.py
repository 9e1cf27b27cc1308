"""Keeps copies of comments in memory, so that most readers don't reach the store."""
