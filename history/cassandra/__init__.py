"""Keeps the history in Cassandra, for many machines. Only this folder knows the driver."""
