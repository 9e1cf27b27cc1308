"""Accepts comments on this machine's disk while the store is away, and brings them to it afterwards."""
