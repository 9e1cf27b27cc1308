"""Erases comments on an operator's order, and evicts what other processes have erased."""
