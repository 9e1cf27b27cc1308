"""Serves what viewers and operators ask a replica: its unary calls, and its metrics."""
