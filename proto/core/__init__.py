"""Decides what several services decide alike. Touches nothing that waits."""
