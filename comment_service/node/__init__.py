"""Gives this process its node number, and keeps up its connection to the shared store."""
