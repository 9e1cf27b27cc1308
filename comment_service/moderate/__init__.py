"""Hides, restores and erases comments on an operator's order, and keeps this node's copies true to what others did."""
