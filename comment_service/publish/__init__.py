"""Sends durable comments to a dispatcher, and asks the dispatchers where a viewer goes."""
